"""The pages in a browser: nothing on the console, figures that answer to the mouse and the keyboard, a layer followed."""

import example_version
import pytest
import yaml
from browser import Browser, needs_browser

from mico_runner import api, outputs
from mico_runner.outputs.sweep_version import CellResult, write_sweep
from mico_runner.steps.base import Metric

pytestmark = needs_browser
TIP = "const tip = document.getElementById('tip'); return tip.hidden ? null : tip.textContent"
PANEL = "const panel = document.getElementById('layer'); return panel.hidden ? null : panel.textContent"


@pytest.fixture(scope="module")
def browser():
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return outputs.write_report(example_version.make(tmp_path_factory.mktemp("shown")))


def test_hovering_over_the_front_shows_bits_and_costs(browser, page):
    browser.open(page)
    browser.hover("svg[aria-label=pareto] .mark[aria-label^=chosen]")
    said = browser.run(TIP)
    assert "latency" in said and "cycles" in said and "of 8-bit's" in said
    assert all(layer in said for layer in example_version.LAYERS) and " a8: " in said
    browser.hover("h1")
    assert browser.run(TIP) is None
    assert browser.complaints() == []


def test_a_layer_is_followed_through_all_sections(browser, page):
    browser.open(page)
    browser.click("svg[aria-label=bits] .mark[data-layer=conv2]")
    said = browser.run(PANEL)
    for words in ("4 for weights, 4 for activations", "latency predicted", "conv2d_simd", "of tables", "at 8 bits"):
        assert words in said, words
    sections = (
        "return [...document.querySelectorAll('.on')].map(e => e.closest('section').querySelector('h2').textContent)"
    )
    assert set(browser.run(sections)) == {
        "What can be had: accuracy against cost",  # its sensitivity
        "Bits of each layer",
        "Predicted and measured latency",
        "Which kernel each layer gets",
        "Memory",
    }
    assert set(browser.run("return [...document.querySelectorAll('.on')].map(e => e.dataset.layer)")) == {"conv2"}
    browser.click("#layer button:nth-of-type(5)")
    assert browser.run("return document.activeElement.closest('section').querySelector('h2').textContent") == "Memory"
    browser.press("Escape")
    assert browser.run(PANEL) is None and browser.run("return document.querySelectorAll('.on').length") == 0
    browser.open(page, "#layer=fc3")
    assert "8 for weights" in browser.run(PANEL)
    assert browser.complaints() == []


def test_all_of_it_works_with_the_keyboard(browser, page):
    browser.open(page)
    browser.run("document.querySelector('svg[aria-label=bits] .mark').focus()")
    assert browser.run(TIP) == "conv1: 8 bits of weights"
    browser.press("ArrowRight")
    assert browser.run(TIP) == "conv2: 4 bits of weights"
    browser.press("Enter")
    assert browser.run(PANEL).startswith("conv2")
    browser.press("Tab")
    assert browser.run("return document.activeElement.closest('svg')") is None, "Tab leaves the figure"
    browser.press("Escape")
    assert browser.run("return document.activeElement.getAttribute('aria-label')") == "conv2: 4 bits of weights"
    assert browser.complaints() == []


def test_versions_side_by_side_are_a_page(browser, tmp_path):
    names = [
        str(example_version.make(tmp_path, steps=steps)) for steps in (("fit", "search"), ("fit", "search", "codegen"))
    ]
    metrics = api.compare_page(names, tmp_path / "page.html", everything=True)
    assert len(metrics.lines) > 5
    browser.open(tmp_path / "page.html")
    browser.hover("svg[aria-label=fronts-0] .mark")
    assert "lenet-mnist/v000" in browser.run(TIP) and "w" in browser.run(TIP)
    browser.click("button.follow")
    assert "w8 a8" in browser.run(PANEL)
    assert browser.complaints() == []


def test_a_sweep_is_a_page(browser, tmp_path):
    cells = [CellResult("hardware-a_seed-9", {"hardware": "a", "seed": 9}, error="no such <chip>")]
    for hardware in "ab":
        for seed in range(3):
            name = f"hardware-{hardware}_seed-{seed}"
            folder = tmp_path / "swept" / "cells" / name / "v0001"
            (folder / "steps" / "search").mkdir(parents=True)
            (folder / "spec.resolved.yaml").write_text(
                yaml.safe_dump({"search": {"objectives": ["accuracy", "latency"]}})
            )
            front = f"order,validation_accuracy,latency\n0,{90 + seed},{100 + seed}\n1,80,{50 - seed}\n"
            (folder / "steps" / "search" / "front.csv").write_text(front)
            metrics = {
                "search.validation_accuracy": Metric(90.0 + seed, "%", "higher"),
                "search.latency": Metric(100 + seed, "cycles" if hardware == "a" else "ns", "lower"),
            }
            cells.append(CellResult(name, {"hardware": hardware, "seed": seed}, folder, metrics))
    version = tmp_path / "swept" / "v0001"
    version.mkdir()
    write_sweep(version, {"name": "swept", "seed": 0, "gates": {}}, ["hardware", "seed"], cells, tmp_path)
    browser.open(version / "report.html")
    text = browser.run("return document.body.innerText")
    for words in ("1 failed", "no such <chip>", "a sweep of 7 cells", "hardware=b", "101 ± 2.5", "latency in ns"):
        assert words in text, words
    browser.hover("svg[aria-label=spread] .mark")
    assert browser.run(TIP).startswith("hardware-a_seed-0\nsearch.")
    browser.hover("svg[aria-label=front-1] .mark")
    assert browser.run(TIP).startswith("hardware-b_seed-") and " ns" in browser.run(TIP)
    assert browser.complaints() == []
