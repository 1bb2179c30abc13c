"""Loading: defaults, extends, overrides, places, the way out and back."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from cerberus import SchemaError

from mico_runner import hardware, paths, spec, yaml_schema, yaml_source
from mico_runner.calibration import device_curves
from mico_runner.data import LOADERS
from mico_runner.data.source import NAME
from mico_runner.hardware import datasheet, fpga
from mico_runner.search import ALGORITHMS
from mico_runner.spec import own_data
from mico_runner.spec.consistency import OWNER
from mico_runner.spec.gates import DEFAULT_GATES
from mico_runner.spec.known import REGISTRIES
from mico_runner.spec.schema import sections
from mico_runner.spec.schema.latency import CURVES
from mico_runner.steps import STEPS
from mico_runner.tasks import TASKS

SHIPPED = sorted(paths.shipped("specs").glob("*.yaml"))
TEMPLATES = sorted((paths.shipped("specs") / "templates").glob("*.yaml"))
PURPOSES = [
    path for path in TEMPLATES if path.stem in ("small-memory", "early-exits", "filtered-attention")
]  # the others are of a device each
DEFAULT = {
    name: bounds for gates in DEFAULT_GATES.values() for name, bounds in gates.items()
}  # all steps take part in NET
NET = """\
spec_version: 1
name: net
extends: templates/bitfusion.yaml
datasets: {task: digits}
model: {name: small-cnn}
search: {objectives: [accuracy]}
"""
PROFILE = "kind,in_channels,out_channels,act_bits,weight_bits,latency_ns\nlinear,10,20,8,8,300\n"


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(NET, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_specs_are_valid_and_survive_the_way_out_and_back(path, tmp_path):
    loaded = spec.load(path)
    assert list(loaded.data) == list(sections())
    again = tmp_path / "spec.resolved.yaml"
    again.write_text(spec.dump(loaded.data), encoding="utf-8")
    assert spec.load(again).data == loaded.data
    assert loaded.locate("name") == f"{path}:{line_of(path, 'name:')}:7"


def line_of(path, start):
    return 1 + next(i for i, line in enumerate(path.read_text(encoding="utf-8").split("\n")) if line.startswith(start))


def test_there_is_a_template_for_each_shipped_device_that_runs_programs_or_is_simulated():
    devices = [name for name in hardware.names() if hardware.load(name).kind != fpga.KIND]
    assert sorted(path.stem for path in TEMPLATES if path not in PURPOSES) == devices


@pytest.mark.parametrize("template", PURPOSES, ids=lambda p: p.stem)
def test_a_template_for_a_purpose_needs_only_a_task_and_a_network(template, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(NET.replace("bitfusion", template.stem).rpartition("search:")[0], encoding="utf-8")
    wanted = {
        "early-exits": ["train", "fit", "evaluate", "exits", "codegen", "simulate"],
        "filtered-attention": ["train", "evaluate", "filter", "codegen", "simulate"],
        "small-memory": ["train", "evaluate", "codegen", "simulate"],
    }
    assert spec.load(path).data["steps"] == wanted[template.stem]


@pytest.mark.parametrize("template", [path for path in TEMPLATES if path not in PURPOSES], ids=lambda p: p.stem)
def test_a_template_needs_only_a_task_and_a_network(template, net):
    loaded = spec.load(net, [f"extends=templates/{template.name}"])
    own_profile = ["profile"] if loaded.data["profile"] else []  # devices without a shipped one make it in the run
    assert loaded.data["steps"] == [*own_profile, "train", "fit", "evaluate", "search", "codegen", "simulate"]
    assert loaded.data["hardware"] == template.stem


def test_what_is_absent_is_none_and_what_is_present_is_complete():
    loaded = spec.load(paths.shipped("specs") / "proxy-bitfusion-conv2d.yaml")
    absent = ("model", "evaluate", "quantization", "search", "codegen", "simulate", "profile", "hardware", "extends")
    assert all(loaded.data[key] is None for key in absent)
    assert loaded.data["steps"] == ["fit"]
    assert loaded.data["proxy"]["compare"][1]["params"] == {}
    assert loaded.data["executor"] == {"backend": "processes", "jobs": 1, "threads": 1, "address": None}


def test_defaults_that_follow_from_the_model(net):
    data = spec.load(net).data
    assert data["model"]["params"] == {"channels": 16}
    recipe = {"epochs": 5, "lr": 1e-3, "batch_size": 64, "weight_decay": 0.0, "shift": 0}
    assert data["model"]["train"].items() >= recipe.items()
    assert data["model"]["train"]["augment"]["mixup"] == 0.0
    assert data["evaluate"] == {"uniform_bits": [[8, 8], [4, 4], [2, 2]]}
    assert data["quantization"]["activations"] == {
        "calibration": "mse",
        "percentile": 99.9,
        "images": 256,
        "kv_bits": 8,
    }
    params = ALGORITHMS.info(data["search"]["algorithm"]).meta["params"]
    assert params and data["search"]["params"] == {name: rules["default"] for name, rules in params.items()}
    assert spec.load(net, ["evaluate=null"]).data["evaluate"] is None
    assert spec.load(net, ["quantization=null"]).data["quantization"] == data["quantization"]


def test_uniform_bits_are_those_the_device_has(net):
    device = "{name: chip, kind: cpu, latency_unit: ns, weight_bits: [4, 8], activation_bits: [8]}"
    changes = [f"hardware={device}", "datasets.profile=[]", "proxy=null", "simulate=null"]
    changes.append("search.space={weight_bits: [4], activation_bits: [8]}")
    assert spec.load(net, changes).data["evaluate"] == {"uniform_bits": [[8, 8]]}


def test_mappings_merge_lists_replace_and_null_removes(net):
    base = yaml_source.read(TEMPLATES[0]).data
    data = spec.load(net).data
    assert data["datasets"]["task"] == "digits" and data["datasets"]["profile"] == base["datasets"]["profile"]
    assert data["search"]["objectives"] == ["quality"] and data["search"]["space"]["weight_bits"] == [2, 4, 8]
    assert spec.load(net, ["search.space.weight_bits=[8]"]).data["search"]["space"]["weight_bits"] == [8]
    assert spec.load(net, ["simulate=null"]).data["simulate"] is None


def test_null_removes_gates_constraints_and_pinned_layers(net):
    given = ["gates={evaluate.macs: {max: 1}}", "search.constraints.bops.max=3", "search.space.pinned.c.weight_bits=8"]
    assert spec.load(net, given).data["gates"] == DEFAULT | {"evaluate.macs": {"max": 1}}
    data = spec.load(net, [*given, "gates=null", "search.constraints.bops=null", "search.space.pinned.c=null"]).data
    assert data["search"]["constraints"] == data["search"]["space"]["pinned"] == {}
    assert data["gates"] == dict.fromkeys(DEFAULT)
    assert spec.load(net, [*given, "gates.'evaluate.macs'=null"]).data["gates"] == DEFAULT


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"train.above_chance": {"min": 0}}),
        (["steps=[train]"], {"train.above_chance": {"min": 0}}),
        (["gates.'train.above_chance'.min=20"], {"train.above_chance": {"min": 20}}),
        (["gates.'train.above_chance'=null"], {"train.above_chance": None}),
        (["gates=null"], {"train.above_chance": None}),
        (["model=null", "search=null", "codegen=null", "simulate=null"], {}),
    ],
)
def test_a_step_that_takes_part_implies_its_default_gates(net, tmp_path, overrides, expected):
    found = spec.load(net, overrides).data
    assert {name: bounds for name, bounds in found["gates"].items() if name.startswith("train.")} == expected
    again = tmp_path / "again.yaml"
    again.write_text(spec.dump(found), encoding="utf-8")
    assert spec.load(again).data == found, "a gate that was removed does not come back"


def test_default_gates_are_on_metrics_of_their_step():
    for step, bounds in DEFAULT_GATES.items():
        assert step in STEPS.names() and all(
            OWNER.get(metric.split(".")[0], metric.split(".")[0]) == step for metric in bounds
        )


def test_gates_on_unseen_shapes_stand_where_shapes_are_left_out(net):
    seen = spec.load(net, ["proxy.validation.protocols=[kfold]"]).data["gates"]
    assert not {"proxy.*.explained", "proxy.*.learnable"} & set(seen)
    assert {"proxy.*.shapes", "proxy.*.outliers"} <= set(seen)
    fresh = spec.load(net).data["gates"]
    fresh["proxy.*.learnable"]["min"] = -1
    assert spec.load(net).data["gates"]["proxy.*.learnable"] == DEFAULT_GATES["fit"]["proxy.*.learnable"]


def test_the_last_override_wins_and_values_are_yaml(net):
    loaded = spec.load(net, ["seed=1", "model.train.lr=1e-3", "seed=7", "gates.'train.test_accuracy'.min=9.5"])
    assert loaded.data["seed"] == 7 and loaded.data["model"]["train"]["lr"] == 0.001
    assert loaded.data["gates"] == DEFAULT | {"train.test_accuracy": {"min": 9.5}}
    assert loaded.locate("seed") == "--set seed=7"


def test_an_override_says_what_it_replaces(net):
    loaded = spec.load(net, ["model.name=mlp", "search.algorithm=random"])
    assert loaded.locate("model.name") == f"--set model.name=mlp (in place of {net}:5:15)"
    assert f"--set search.algorithm=random (in place of {TEMPLATES[0]}:" in loaded.locate("search.algorithm")


def test_sizes_may_have_a_unit(net):
    sizes = ["search.constraints.flash_bytes.max=24KiB", "search.constraints.ram_bytes.max=1.5 MiB"]
    data = spec.load(net, [*sizes, "gates.'codegen.flash_bytes'.max=100 B"]).data
    limits = data["search"]["constraints"]
    assert (limits["flash_bytes"]["max"], limits["ram_bytes"]["max"]) == (24 * 1024, 3 * 512 * 1024)
    assert data["gates"]["codegen.flash_bytes"] == {"max": 100}


def test_places_point_into_the_file_that_says_it(net):
    loaded = spec.load(net, ["search.budget.evaluations=3"])
    assert loaded.locate("model.name") == f"{net}:5:15"
    assert loaded.locate("search.objectives") == f"{net}:6:22"
    assert loaded.locate("search.algorithm").startswith(str(TEMPLATES[0]))
    assert loaded.locate("search.budget.evaluations") == "--set search.budget.evaluations=3"
    assert loaded.locate("search") == f"{net}:6:9"
    assert loaded.locate("search.enumerate") == f"{net}:6:9"


def test_files_are_looked_for_beside_the_spec(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "bitfusion.yaml").write_text("hardware: chip.yaml\nproxy: {}\n", encoding="utf-8")
    (folder / "chip.yaml").write_text((paths.shipped("hardware") / "host.yaml").read_text(), encoding="utf-8")
    (folder / "mine.csv").write_text(PROFILE, encoding="utf-8")
    (folder / "net.yaml").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    data = spec.load("mine/net.yaml", ["datasets.profile=[mine.csv]"]).data
    assert data["hardware"]["name"] == "host", "the file's content, so that the resolved spec stands alone"
    assert data["datasets"]["profile"] == [str((folder / "mine.csv").resolve())]


def test_a_csv_profile_is_nobodys_device(net, tmp_path):
    (tmp_path / "mine.csv").write_text(PROFILE, encoding="utf-8")
    assert spec.load(net, ["hardware=host", "simulate.target=host", "datasets.profile=[mine.csv]"]).data


def test_a_csv_profile_counts_in_the_devices_unit(net, tmp_path):
    (tmp_path / "mine.csv").write_text(PROFILE.replace("_ns", "_ms"), encoding="utf-8")
    with pytest.raises(
        spec.SpecErrors, match=r"mine.csv:1:1: found latency_ms; allowed: one column latency_ns, as host counts"
    ):
        spec.load(net, ["hardware=host", "simulate.target=host", "datasets.profile=[mine.csv]"])


def test_unreadable_files(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"name: a\nb\xff\xfe\n")
    (tmp_path / "control.yaml").write_bytes(b"name: a\nb: \x01\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (yaml_source.MAX_BYTES + 1))
    wanted = {
        "folder.yaml": "folder.yaml: cannot be read: Is a directory",
        "binary.yaml": "binary.yaml:2:2: not UTF-8 text",
        "control.yaml": "control.yaml:2:4: character #x0001 is not allowed",
        "large.yaml": "large.yaml: larger than 512 KiB",
        "none.yaml": "none.yaml: cannot be read: No such file or directory",
        "n\0ul.yaml": "cannot be read: embedded null byte",
    }
    for name, text in wanted.items():
        with pytest.raises(spec.SpecErrors) as caught:
            spec.load(tmp_path / name)
        assert str(caught.value).endswith(text)
        assert caught.value.exit_code == 2


def test_json_schema_agrees(net):
    schema = spec.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    allowed = jsonschema.Draft202012Validator(schema)
    for path in (*SHIPPED, *TEMPLATES, net):
        allowed.validate(yaml_source.read(path).data)
        if path not in TEMPLATES:
            allowed.validate(spec.load(path).data)
    for wrong in (
        {"seed": -1},
        {"sede": 1},
        {"model": {"name": "lenat"}},
        {"model": {"train": {"lr": 0}}},
        {"search": {"space": {"weight_bits": [2, 2]}}},
        {"search": {"constraints": {"latency": {}}}},
        {"gates": {"latency": {"max": 1}}},
        {"gates": {"a.b": {}}},
        {"simulate": {"images": "some"}},
        {"efficiency_curves": "atuo"},
        {"efficiency_curves": {"fit": {"folds": 1}}},
        {"hardware": {"name": "chip"}},
        {"datasets": None},
    ):
        with pytest.raises(jsonschema.ValidationError):
            allowed.validate(wrong)


def test_json_schema_knows_what_null_removes():
    head = {"spec_version": 1, "name": "x", "datasets": {}}
    for right in (
        {"gates": None},
        {"gates": {"a.b": None}},
        {"search": {"constraints": None}},
        {"search": {"constraints": {"latency": None}}},
        {"search": {"space": {"pinned": {"conv1": None}}}},
        {"model": None},
    ):
        jsonschema.validate({**head, **right}, spec.schema())


def test_bits_are_whole_numbers_however_they_are_written(net):
    changes = ["search.space.weight_bits=[8.0, 2]", "search.space.activation_bits=[8.0]"]
    changes += [
        "search.space.pinned.conv1={weight_bits: 8.0, activation_bits: 4.0}",
        "evaluate.uniform_bits=[[4.0, 8.0]]",
    ]
    data = spec.load(net, changes).data
    space = data["search"]["space"]
    pinned = space["pinned"]["conv1"].values()
    found = [*space["weight_bits"], *space["activation_bits"], *pinned, *data["evaluate"]["uniform_bits"][0]]
    assert found == [8, 2, 8, 8, 4, 4, 8] and all(type(bits) is int for bits in found)
    changes = ["hardware=host", "datasets.profile=[]", "proxy=null", "simulate=null"]
    ternary = spec.load(net, [*changes, "search.space={weight_bits: [1.5], activation_bits: [8]}"])
    assert ternary.data["search"]["space"]["weight_bits"] == [1.5]


def test_what_does_not_fit_the_device_is_no_result(net):
    def found(*changes):
        device = (
            "{name: chip, kind: cpu, latency_unit: ns, weight_bits: [2, 4, 8], activation_bits: [8], ram_bytes: 4096}"
        )
        given = [f"hardware={device}", "datasets.profile=[]", "proxy=null", "simulate=null"]
        given += ["search.space.activation_bits=[8]", *changes]
        return spec.load(net, given).data["search"]["constraints"]

    assert found() == {"ram_bytes": {"max": 4096, "relative_to": None}}
    assert found("search.constraints.ram_bytes.max=9") == {"ram_bytes": {"max": 9, "relative_to": None}}
    share = {"max": 0.5, "relative_to": "int8"}
    assert found("search.constraints.ram_bytes={max: 0.5, relative_to: int8}") == {"ram_bytes": share}


CALIBRATED = {
    "environment": {},
    "peaks": {"fp32": {"flops_per_s": 1e11, "bytes_per_s": {"highest": 1e10}}},
    "operations": {"add/fp32": {"of": "bytes", "overhead_s": 0.0, "points": []}},
}
ASSUMED = {name: {"flops": [1e6], "measured_efficiency": [0.1]} for name in ("conv2d", "depthwise", "matmul")}


def test_forms_of_efficiency_curves(net):
    def load(*changes):
        return spec.load(net, ["calibrate={networks: []}", *changes]).data

    assert load("efficiency_curves=auto")["efficiency_curves"] == "auto"
    fit = load("efficiency_curves={fit: {folds: 3}}")["efficiency_curves"]["fit"]
    shapes = ["constant", "linear", "log_linear", "sigmoid", "piecewise", "spline"]
    assert fit == {"folds": 3, "shapes": shapes, "smooth": None}
    for name, content in (("curves.yaml", CALIBRATED), ("curves.json", ASSUMED)):
        curves = net.with_name(name)
        curves.write_text(json.dumps(content), encoding="utf-8")
        assert load(f"efficiency_curves={name}")["efficiency_curves"] == str(curves.resolve())
    with pytest.raises(spec.SpecErrors, match="read by calibrate, which this spec lacks"):
        spec.load(net, ["efficiency_curves=auto"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"bad.json:1:2: cannot be read as JSON"),
        ("[]", "a mapping of operation to curve is needed"),
        (json.dumps(CALIBRATED | {"peaks": {}}), "peaks has no rate of precision 'fp32'"),
        (
            json.dumps(ASSUMED | {"conv2d": {"flops": [1e6], "measured_efficiency": [float("nan")]}}),
            r"\[0\]: found nan",
        ),
        (json.dumps(ASSUMED | {"conv2d": {"flops": [1e6]}}), "conv2d: found flops; needed: flops, measured_efficiency"),
    ],
)
def test_a_file_of_curves_that_does_not_do_is_said_where_the_spec_names_it(net, content, message):
    net.with_name("bad.json").write_text(content, encoding="utf-8")
    with pytest.raises(spec.SpecErrors, match=rf"--set efficiency_curves=bad.json: efficiency_curves: .*{message}"):
        spec.load(net, ["calibrate={networks: []}", "efficiency_curves=bad.json"])


def test_operations_without_a_curve_are_said_before_networks_are_estimated(net):
    net.with_name("few.json").write_text(json.dumps({"conv2d": ASSUMED["conv2d"]}), encoding="utf-8")
    with pytest.raises(spec.SpecErrors, match="unknown efficiency curve 'conv_dw'"):
        spec.load(net, ["calibrate={networks: [resnet18]}", "efficiency_curves=few.json"])


def test_paths_of_calibrate(net):
    net.with_name("old.json").write_text(json.dumps(CALIBRATED), encoding="utf-8")
    section = spec.load(net, ["calibrate={compare: old.json, write_to: kept}"]).data["calibrate"]
    assert section["compare"] == str(net.with_name("old.json").resolve())
    assert section["write_to"] == str(net.with_name("kept").resolve())
    with pytest.raises(spec.SpecErrors, match="no such file"):
        spec.load(net, ["calibrate={compare: new.json}"])
    with pytest.raises(spec.SpecErrors, match="allowed: a path below the spec's folder"):
        spec.load(net, ["calibrate={write_to: ../kept}"])
    net.with_name("old.json").write_text(json.dumps(CALIBRATED | {"operations": [1]}), encoding="utf-8")
    with pytest.raises(
        spec.SpecErrors, match=r"calibrate.compare: .*old.json: operations: found \[1\]; allowed: a mapping"
    ):
        spec.load(net, ["calibrate={compare: old.json}"])


def test_thousands_of_errors_are_all_said(net):
    net.write_text(NET + "".join(f"key{i}: {i}\n" for i in range(5000)), encoding="utf-8")
    with pytest.raises(spec.SpecErrors) as caught:
        spec.load(net)
    lines = [problem.place.line for problem in caught.value.problems]
    assert lines == list(range(7, 5007))


def test_names_of_files_that_cannot_be(net):
    for key in ("hardware", "efficiency_curves"):
        with pytest.raises(spec.SpecErrors):
            spec.load(net, [f"{key}={'x' * 5000}.yaml"])
    with pytest.raises(spec.SpecErrors, match="no such file"):
        spec.load(net, [f"datasets.profile=[{'x' * 5000}.csv]"])


@pytest.mark.parametrize("kind", REGISTRIES)
def test_parameters_of_every_plug_in_are_rules_that_can_be_shown(kind):
    for name, entry in REGISTRIES[kind].entries.items():
        rules = entry.meta.get("params", {})
        yaml_schema.Validator(rules)  # raises when these are no Cerberus rules
        assert all(yaml_schema.describe(rule) for rule in rules.values()), name


def rules_of_our_own():
    """By name, all that documents are checked by; plug-ins may add to some."""
    yield "spec", sections()
    yield "efficiency_curves", CURVES
    yield "hardware", hardware.rules()
    yield "datasheet", datasheet.SCHEMA
    yield "device curves", device_curves.SCHEMA
    for way in (NAME, *LOADERS.names()):
        yield f"datasets.task.{way}", own_data._rules(way, None)
    for task in TASKS.names():
        yield f"datasets.task.options of {task}", TASKS.info(task).meta.get("params", {})


@pytest.mark.parametrize(
    ("name", "rules"), rules_of_our_own(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_documents_are_checked_by_are_rules(name, rules):
    yaml_schema.Validator(rules)  # raises where they are none; `check` trusts them
    with pytest.raises(SchemaError):
        yaml_schema.Validator({**rules, "wrong": {"tipe": "string"}})


def test_every_key_is_documented():
    text = (Path(__file__).resolve().parents[2] / "docs/reference/spec.md").read_text(encoding="utf-8")

    def keys(rules):
        if rules.get("type") == "list":
            return keys(rules["schema"])
        if rules.get("type") != "dict":
            return set()
        inner = [keys(value) for value in rules.get("schema", {}).values() if "type" in value]
        inner += [keys(rules["valuesrules"])] if "valuesrules" in rules else []
        return set(rules.get("schema", {})).union(*inner)

    found = keys({"type": "dict", "schema": sections()})
    assert {"shift", "pinned", "max_drop", "in_h"} <= found
    assert not {key for key in found if f"`{key}`" not in text}


def test_other_readers_of_yaml_read_the_same(net):
    data = spec.load(net).data
    assert yaml.safe_load(spec.dump(data)) == data


@pytest.mark.parametrize("wanted", ["specs/quickstart.yaml", "quickstart.yaml", "quickstart", "specs/quickstart"])
def test_a_shipped_spec_is_found_from_any_folder(wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert spec.load(wanted).path == paths.shipped("specs") / "quickstart.yaml"


@pytest.mark.parametrize(
    ("own", "wanted"), [("specs/quickstart.yaml", "specs/quickstart.yaml"), ("quickstart.yaml", "quickstart")]
)
def test_a_file_of_the_users_own_wins(own, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / own).parent.mkdir(exist_ok=True)
    text = (paths.shipped("specs") / "quickstart.yaml").read_text()
    (tmp_path / own).write_text(text.replace("seed: 1", "seed: 77"))
    assert spec.load(wanted).data["seed"] == 77


def test_a_folder_does_not_hide_a_shipped_spec_and_a_slip_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert spec.load("quickstart").data["name"] == "quickstart"
    with pytest.raises(
        spec.SpecErrors, match=r"^quickstrat\.yaml: no such file, .* did you mean 'quickstart\.yaml'\?$"
    ):
        spec.load("quickstrat.yaml")
    with pytest.raises(spec.SpecErrors, match=r"\.\./quickstart\.yaml: cannot be read"):
        spec.load("../quickstart.yaml")


@pytest.mark.parametrize("section", ["profile", "proxy", "calibrate"])
def test_seeds_of_their_own_are_0_whatever_the_seed_of_the_training(section):
    name = {"profile": "profile-bitfusion", "proxy": "quickstart", "calibrate": "calibrate-host"}[section]
    path = paths.shipped("specs") / f"{name}.yaml"
    assert spec.load(path, ["seed=9"]).data[section]["seed"] == 0
    assert spec.load(path, [f"{section}.seed=4"]).data[section]["seed"] == 4
