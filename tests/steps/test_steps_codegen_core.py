"""The core of the hardware chooses the kernels of a bare-metal program, and of no other."""

from types import SimpleNamespace

from mico_runner.steps.codegen import target_core


def test_a_bare_metal_program_is_for_the_core_of_the_hardware():
    assert target_core(SimpleNamespace(hardware="vexriscv-fullcfu-dot"), "baremetal") == "fullcfu-dot"
    assert target_core(SimpleNamespace(hardware="vexriscv-full"), "baremetal") == "full"


def test_a_program_for_the_host_is_for_no_core():
    assert target_core(SimpleNamespace(hardware="vexriscv-fullcfu-dot"), "host") is None
    assert target_core(SimpleNamespace(hardware=None), "baremetal") is None
