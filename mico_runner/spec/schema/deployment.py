"""Quantisation, generated code, and where it runs."""

from __future__ import annotations

from mico_runner import hardware
from mico_runner.quant.rounding import ROUNDINGS
from mico_runner.spec.rules import Rules, choice, flag, items, number, optional, section, text, width
from mico_runner.spec.schema.values import WEIGHT_BITS
from mico_runner.targets import TARGETS


def quantization() -> dict[str, Rules]:
    weights = {
        "granularity": choice("scales per", ["channel", "tensor"], default="channel"),
        "scale": choice("how a scale is chosen", ["mse", "minmax"], default="mse"),
        "rounding": choice("how weights become integers", ROUNDINGS.names(), default="gptq"),
    }
    activations = {
        "calibration": choice("", ["mse", "minmax", "percentile"], default="mse"),
        "percentile": number("of calibration: percentile", above=50, max=100, default=99.9),
        "images": number("calibration images", "integer", min=1, max=10**6, default=256),
        "kv_bits": number("bits of the keys and values that a decoder keeps", "integer", min=2, max=8, default=8),
    }
    return {
        "weights": section("", weights, default={}),
        "activations": section("", activations, default={}),
        "equalise": choice(
            "channels to one range where their readers can take that back", ["auto", "off"], default="auto"
        ),
    }


def codegen() -> dict[str, Rules]:
    return {
        "target": choice(
            "a C program, a QDQ model of ONNX, DNNWeaver's files, or a decoder in llama2.c's",
            ["c", "onnx", "dnnweaver", "llama-bin"],
            default="c",
        ),
        "runtime": choice("what the program runs on", ["host", "baremetal"], default="host"),
        "scratch": choice("of convolutions on baremetal", ["two_rows", "tables"], default="two_rows"),
        "bits": items(
            "[weight bits, activation bits] of every layer, without a search; default: [8, 8]",
            width(WEIGHT_BITS),
            minlength=2,
            maxlength=2,
            nullable=True,
            default=None,
        ),
        "ends": items(
            "the same of the first and the last layer; default: as the others",
            width(WEIGHT_BITS),
            minlength=2,
            maxlength=2,
            nullable=True,
            default=None,
        ),
        "bundle": choice("a C file per kernel, or one for all", ["files", "single"], default="files"),
        "package": choice("whose library the folder is", ["cmake", "arduino", "platformio", "zephyr"], default="cmake"),
        "schedule": choice(
            "layers one after the other, or in the order of least memory, some row by row",
            ["layers", "rows"],
            default="layers",
        ),
        "max_macs": number("products that rows may compute, relative to the network's", min=1, max=4, default=1.0),
        "points": number("of the search's front, each a program of its own", "integer", min=1, max=16, default=1),
    }


def simulate() -> dict[str, Rules]:
    target = {"type": "string", "allowed": sorted([*TARGETS.names(), *hardware.simulated_kinds()])}
    images = {"anyof": [{"type": "string", "allowed": ["all"]}, {"type": "integer", "min": 1}]}
    story = {
        "tokenizer": text("a name of the catalog, or a path to a file of llama2.c", required=True, minlength=1),
        "prompt": text("what it begins with", default=""),
        "tokens": number("at most, with those of the prompt", "integer", min=2, max=1 << 20, default=200),
    }
    return {
        "target": {
            "anyof": [target, {"type": "list", "schema": target, "minlength": 1, "distinct": True}],
            "default": "host",
            "meta": {
                "help": "where the network runs",
                "text": f"{', '.join(target['allowed'])}, or a list of them",
            },
        },
        "images": {
            **images,
            "default": "all",
            "meta": {"help": "test images", "text": "all, or a whole number, at least 1"},
        },
        "qemu_images": {
            **images,
            "default": 200,
            "meta": {"help": "of them, on QEMU", "text": "all, or a whole number, at least 1"},
        },
        "rtl_images": number("of them, on RTL, which takes seconds for each", "integer", min=1, max=10**5, default=4),
        "rtl_assignments": number(
            "random assignments on RTL, against what was predicted", "integer", min=0, max=10**5, default=0
        ),
        "sanitize": flag("run once more under the address and undefined-behaviour sanitizers"),
        "executor": flag("quality and loss of the integers on the whole test part, too, by the executor"),
        "story": optional("a text that the C program of a decoder goes on with", story),
    }
