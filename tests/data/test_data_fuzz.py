"""Whatever a data file holds: it is read, or one usage error names it; never another exception, and never figures that are none."""

import gzip
import io
import json
import lzma
import struct
import tarfile
import warnings

import numpy as np
import pytest
import yaml
from test_data_subgraphs import rows

from mico_runner import cli, durable, hardware, paths
from mico_runner.calibration import given, profile
from mico_runner.data import catalog, cifar, idx, load_profile, subgraphs
from mico_runner.errors import MicoError

FEW, MANY = 400, 3000
VALUES = [
    "",
    "0",
    "-1",
    "1.5",
    "1e300",
    "1e999",
    "nan",
    "inf",
    "8",
    "100",
    "3",
    "4294967296",
    "9" * 400,
    "x",
    "true",
    "null",
    "[]",
    "{}",
]
VALUES += [
    '"',
    '"a""b"',
    "linear",
    "conv2d",
    "depthwise",
    "ü",
    "\0",
    "\ufeff",
    "=1+1",
    "1,5",
    "0x10",
    "1_0",
    "fp32",
    "spline",
]


def mutate_bytes(raw, rng):
    """A few bytes flipped, cut off, cut out, copied or put in."""
    for _ in range(rng.integers(1, 4)):
        start, length = int(rng.integers(len(raw) + 1)), int(rng.integers(1, 40))
        kind = rng.integers(6)
        if kind == 0:
            raw = raw[:start] + bytes(rng.integers(0, 256, 1, dtype=np.uint8)) + raw[start + 1 :]
        elif kind == 1:
            raw = raw[:start]
        elif kind == 2:
            raw = raw[:start] + raw[start + length :]
        elif kind == 3:
            raw = raw[:start] + raw[start : start + length] + raw[start:]
        elif kind == 4:
            raw = raw[:start] + bytes(rng.integers(0, 256, length, dtype=np.uint8)) + raw[start:]
        else:
            at = start % max(len(raw), 1)
            raw = raw[:at] + bytes(b ^ (1 << int(rng.integers(8))) for b in raw[at : at + 1]) + raw[at + 1 :]
    return raw


def mutate_table(raw, rng):
    """Lines or columns swapped, doubled or dropped; another separator or encoding; a cell of another type."""
    lines = [line.split(",") for line in raw.decode().strip().split("\n")]
    for _ in range(rng.integers(1, 4)):
        i, j = rng.integers(len(lines), size=2)
        a, b = rng.integers(min(map(len, lines)), size=2)
        kind = rng.integers(9)
        if kind == 0:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 1:
            lines.insert(i, list(lines[j]))
        elif kind == 2 and len(lines) > 1:
            del lines[i]
        elif kind == 3:
            for line in lines:
                line[a], line[b] = line[b], line[a]
        elif kind == 4:
            lines[0][a], lines[0][b] = lines[0][b], lines[0][a]
        elif kind == 5 and len(lines[0]) > 1:
            for line in lines:
                del line[a]
        elif kind == 6:
            for line in lines:
                line.insert(a, line[b])
        else:
            lines[i][a] = str(rng.choice(VALUES))
    separator = str(rng.choice([",", ",", ",", ",", ",", ";", "\t"]))
    encoding = str(rng.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-7"]))
    end = str(rng.choice(["\n", "\n", "\r\n", "\r", ",\n"]))
    return end.join(separator.join(line) for line in lines).encode(encoding)


def mutate_json(raw, rng):
    """A value somewhere replaced, removed, renamed or moved."""
    data = json.loads(raw)
    for _ in range(rng.integers(1, 3)):
        at = data
        while True:
            keys = list(at) if isinstance(at, dict) else range(len(at))
            if not len(keys):
                break
            key = keys[rng.integers(len(keys))]
            if isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.8:
                at = at[key]
                continue
            kind = rng.integers(4)
            if kind == 0:
                del at[key]
            elif kind == 1 and isinstance(at, dict):
                at[f"{key}x"] = at.pop(key)
            elif kind == 2:
                at[key] = [at[key]]
            else:
                at[key] = [
                    None,
                    True,
                    -1,
                    0,
                    1e-320,
                    1e300,
                    10**400,
                    float("nan"),
                    float("inf"),
                    "x",
                    "",
                    [],
                    {},
                    [1, "a"],
                ][rng.integers(14)]
            break
    return json.dumps(data).encode()


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar_bytes(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(f"batches/{name}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return out.getvalue()


PROFILE = (
    "kind,batch,in_channels,out_channels,in_h,in_w,kernel_h,kernel_w,stride,groups,act_bits,weight_bits,latency_ns\n"
    + "".join(f"conv2d,1,{8 * n},4,16,16,3,3,1,1,8,{bits},{700 * n * bits}\n" for n in (1, 2, 3) for bits in (4, 8))
)
ASSUMED = {
    name: {"flops": [1e6, 1e9], "measured_efficiency": [0.1, 0.6], "std_dev": [0.01, 0.02], "interpolation": "linear"}
    for name in ("conv2d", "depthwise", "matmul")
}
SPLINE = {"shape": "spline", "parameters": {"log_x": [10.0, 12.0], "log_y": [-2.0, -1.0]}, "errors": {}}
LINE = {
    "shape": "linear",
    "parameters": {"log_start": -3.0, "log_slope": -20.0},
    "errors": {"log_start": 0.1, "log_slope": float("nan")},
}
ENDS = {"lowest": 1e4, "highest": 1e6, "points": 5, "cv_error": 0.1, "extrapolation": "clamp", "provenance": "measured"}
POINTS = [{"shape": {"ins": n}, "batch": 1, "seconds": 1e-3 * n, "flops": 1e6, "n": 3} for n in (1, 2)]
CALIBRATED = {
    "environment": {"cpu": "x"},
    "measured": "2026-01-01",
    "peaks": {"fp32": {"flops_per_s": 1e11, "bytes_per_s": {"highest": 1e10, "by_working_set_bytes": {"1000": 1e9}}}},
    "operations": {
        "conv_k3/fp32": {"of": "flops", "overhead_s": 1e-6, "points": POINTS, "curve": SPLINE | ENDS},
        "copy/fp32": {"of": "bytes", "overhead_s": 0.0, "points": POINTS, "curve": LINE | ENDS},
        "view/fp32": {"of": "bytes", "overhead_s": 1e-6, "points": []},
    },
    "validation": {"mape": 0.1, "networks": ["resnet18"]},
}


def read_profile(path):
    table = load_profile(str(path))
    assert len(table) and (table["latency"] > 0).all() and np.isfinite(table["latency"]).all()
    assert (table["macs"] > 0).all() and (table["out_h"] > 0).all() and (table["weight_bits"] >= 1).all()


def read_spec(path):
    spec = path.with_name("spec.yaml")
    chip = "{name: chip, kind: cpu, latency_unit: ns, weight_bits: [4, 8], activation_bits: [8]}"
    spec.write_text(
        f"spec_version: 1\nname: x\nhardware: {chip}\ndatasets: {{profile: [{path.name}]}}\nproxy: {{strategy: single}}\n"
    )
    assert cli.main(["validate", str(spec)]) in (0, 2)


def read_idx(path):
    others = {"train-labels.gz": np.arange(6, dtype=np.uint8), "t10k-labels.gz": np.arange(4, dtype=np.uint8)}
    others["t10k-images.gz"] = np.zeros((4, 5, 5), np.uint8)
    for name, array in others.items():
        path.with_name(name).write_bytes(gzip.compress(idx_bytes(array), 1))
    train, test = idx.load([path, *(path.with_name(name) for name in others)])
    assert train.inputs.shape == (6, 1, 5, 5) and train.targets.shape == (6,) and len(test) == 4


def read_cifar(path):
    for part in cifar.load([path]):
        assert part.inputs.shape[1:] == (3, 32, 32) and part.inputs.dtype == np.uint8 and len(part.inputs) == len(part)
        assert len(part) and 0 <= part.targets.min() <= part.targets.max() < 10


def read_subgraphs(path):
    table = subgraphs.read_subgraphs(path)
    assert len(table) and (table["weights"] >= 0).all() and np.isfinite(subgraphs.robust_mean_ms(table)).all()


def read_given(path):
    found = given.read(path, with_networks=False)
    curves = found.curves if found.profile is None else profile.roofline(found.profile, "fp32").compute
    for curve in curves.values():
        assert np.isfinite(curve.predict(np.array([1.0, 1e6, 1e12]))).all()


def read_hardware(path):
    assert hardware.load(path).weight_bits


def read_calibrated(path):
    found = profile.read(path)
    profile.compare(found, found)
    json.dumps(found)


BATCH = np.random.default_rng(0).integers(0, 256, (3, 3073), dtype=np.uint8)
BATCH[:, 0] = [0, 5, 9]
ARCHIVE = tar_bytes(
    {"data_batch_1.bin": BATCH.tobytes(), "test_batch.bin": BATCH[:2].tobytes(), "batches.meta.txt": b"cat\n"}
)
IMAGES = idx_bytes(np.arange(150, dtype=np.uint8).reshape(6, 5, 5))


def table(text):
    return lambda rng: (mutate_table if rng.random() < 0.7 else mutate_bytes)(text, rng)


def compressed(content, compress, mutate=mutate_bytes):
    """The damage is in the content, or in what it was compressed to."""
    return lambda rng: compress(mutate(content, rng)) if rng.random() < 0.6 else mutate_bytes(compress(content), rng)


def figures(data, form=json.dumps):
    def mutated(rng):
        if rng.random() < 0.3:
            return mutate_bytes(form(data).encode(), rng)
        return form(json.loads(mutate_json(json.dumps(data).encode(), rng))).encode()

    return mutated


CHIP = (paths.shipped("hardware") / "bitfusion.yaml").read_bytes()
SUBGRAPHS = rows().to_csv(index=False).encode()
KINDS = {
    "mine.csv": (table(PROFILE.encode()), read_profile),
    "named.csv": (table(PROFILE.encode()), read_spec),
    "train-images.gz": (compressed(IMAGES, lambda raw: gzip.compress(raw, 1)), read_idx),
    "cifar.tar.xz": (compressed(ARCHIVE, lambda raw: lzma.compress(raw, preset=0)), read_cifar),
    "cifar.tar.gz": (compressed(ARCHIVE, lambda raw: gzip.compress(raw, 1)), read_cifar),
    "cifar.tar": (
        lambda rng: mutate_bytes(ARCHIVE[: 512 * int(rng.integers(1, len(ARCHIVE) // 512))] + ARCHIVE, rng),
        read_cifar,
    ),
    "subgraphs.csv": (table(SUBGRAPHS), read_subgraphs),
    "subgraphs.csv.gz": (compressed(SUBGRAPHS, gzip.compress, mutate_table), read_subgraphs),
    "curves.json": (figures(ASSUMED), read_given),
    "profile.json": (figures(CALIBRATED), read_given),
    "profile.yaml": (figures(CALIBRATED, yaml.safe_dump), read_given),
    "previous.json": (figures(CALIBRATED), read_calibrated),
    "chip.yaml": (lambda rng: mutate_bytes(CHIP, rng), read_hardware),  # specs and devices: more in tests/spec
}


def fuzz(folder, count, capsys):
    rng = np.random.default_rng(17)
    outcomes = {name: [0, 0] for name in KINDS}
    for i in range(count):
        name = list(KINDS)[i % len(KINDS)]
        mutated, read = KINDS[name]
        path = folder / name
        path.write_bytes(mutated(rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                read(path)
            outcomes[name][0] += 1
        except MicoError as error:
            assert error.exit_code == 2 and name in str(error), (name, error)
            outcomes[name][1] += 1
        except Exception as error:
            kept = folder / f"failed-{i}-{name}"
            kept.write_bytes(path.read_bytes())
            pytest.fail(f"{kept}: {type(error).__name__}: {error}")
        assert "Traceback" not in "".join(capsys.readouterr())
    return outcomes


@pytest.mark.parametrize("name", KINDS)
def test_the_undamaged_files_are_read(tmp_path, name):
    contents = {
        "chip": CHIP,
        "mine": PROFILE.encode(),
        "named": PROFILE.encode(),
        "train-images": IMAGES,
        "cifar": ARCHIVE,
        "subgraphs": SUBGRAPHS,
        "curves": json.dumps(ASSUMED).encode(),
        "profile": json.dumps(CALIBRATED).encode(),
        "previous": json.dumps(CALIBRATED).encode(),
    }
    raw = yaml.safe_dump(CALIBRATED).encode() if name == "profile.yaml" else contents[name.split(".")[0]]
    compress = {"gz": gzip.compress, "xz": lzma.compress}.get(name.split(".")[-1], bytes)
    (tmp_path / name).write_bytes(compress(raw))
    KINDS[name][1](tmp_path / name)


def test_damaged_files_are_usage_errors(tmp_path, capsys):
    fuzz(tmp_path, FEW, capsys)


@pytest.mark.slow
def test_thousands_of_damaged_files_are_usage_errors(tmp_path, capsys):
    outcomes = fuzz(tmp_path, MANY, capsys)
    with capsys.disabled():
        print("\nread, refused:", outcomes)
    assert all(refused for name, (_, refused) in outcomes.items() if name != "named.csv")
    assert sum(read for read, _ in outcomes.values()) > MANY / 50, "damage that is always noticed tests little"


def test_a_damaged_memory_of_sums_is_rebuilt(tmp_path, monkeypatch):
    """Never a crash, never another sum: an entry is used only when it is whole."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file, memory = tmp_path / "a.bin", tmp_path / "mico-runner" / "sha256.json"
    file.write_bytes(b"content")
    right = catalog.sha256(file)
    good = memory.read_bytes()
    rng = np.random.default_rng(3)
    forms = [b"", b"[]", b"null", b"3", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}', good[:-9]]
    head, _, content = good.partition(b"\n")  # its sum, and what is remembered
    (entry,) = json.loads(content)["known"].values()
    for about in (None, 1, [], {}, "x", entry[:1], [entry[0], 7], [entry[0], "0" * 64], [*entry, 1]):
        forms.append(head + b"\n" + json.dumps({"version": "1", "known": {str(file.resolve()): about}}).encode())
    for raw in [*forms, *(mutate_bytes(good, rng) for _ in range(200))]:
        memory.write_bytes(raw)
        assert catalog.sha256(file) == right, raw
        assert catalog.sha256(file) == right, raw
        assert durable.read_checked(memory), raw
    memory.unlink()
    memory.mkdir()
    assert catalog.sha256(file) == right
    assert [path.name for path in memory.parent.iterdir()] == [memory.name], "nothing is left behind"
