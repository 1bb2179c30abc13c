"""What a spec may say of early exits and of filtered attention."""

import pytest

from mico_runner import spec
from mico_runner.spec import SpecErrors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["hardware=host", "proxy=null", "datasets.profile=[]"], "needs a device whose latencies are cycles"),
        (
            ["codegen=null", "simulate=null", "gates=null"],
            "model.exits: needs the bits of the network's layers; add the section codegen",
        ),
        (["codegen.schedule=rows"], "found with codegen.target c, schedule rows; allowed: c, layers"),
        (["finetune={}"], "model.exits: found beside finetune; allowed: without it"),
        (["proxy=null"], "step 'exits' needs step 'fit', which does not take part; add the section 'proxy'"),
    ],
)
def test_exits_need_what_they_are_chosen_with(changes, message):
    with pytest.raises(SpecErrors, match=message):
        spec.load("exits-dscnn", changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["codegen.target=onnx", "simulate=null", "gates=null"], "filter: found with codegen.target onnx; allowed: c"),
        (["codegen=null", "simulate=null", "gates=null"], "filter: needs the bits of the network's layers"),
        (["filter.places=[65]"], "filter.places"),
        (["finetune={}"], "filter: found beside finetune"),
    ],
)
def test_filters_go_with_c_alone(changes, message):
    with pytest.raises(SpecErrors, match=message):
        spec.load("filtered-attention", changes)


def test_the_operating_points_of_a_device_are_read(tmp_path):
    from mico_runner import hardware

    found = hardware.load("vexriscv-full").operating_points
    assert found.assumed and found.source and len(found.points) == 9
    assert (found.fastest.hertz, found.fastest.volts) == (32e6, 1.8)
    assert hardware.load("host").operating_points is None
