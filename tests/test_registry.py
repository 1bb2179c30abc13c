import subprocess
import sys

import pytest

from mico_runner.errors import UnknownName
from mico_runner.models import MODELS
from mico_runner.steps import STEPS


def test_unknown_name_lists_the_nearest():
    with pytest.raises(UnknownName, match="unknown model 'lenat'; did you mean 'lenet'\\?"):
        MODELS.get("lenat")


def test_the_static_description_matches_the_objects():
    for registry in (MODELS, STEPS):
        for name in registry.names():
            assert registry.get(name).__doc__.split("\n")[0] == registry.info(name).summary


def test_listing_imports_no_entry():
    code = "import sys; from mico_runner.models import MODELS; assert 'lenet' in MODELS.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
