"""`latest`: a link, and what copying makes of it; outputs that may only be read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import example_version
import pytest

from mico_runner import cli, outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import store

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("train", "simulate")


@pytest.fixture
def folder(tmp_path):
    """The versions of a spec: two."""
    for _ in range(2):
        example_version.make(tmp_path, steps=STEPS)
    return tmp_path / "lenet-mnist"


def copied(folder):
    """With links followed: `scp -r`, `cp -rL`, zip."""
    shutil.copytree(folder, folder.parent / "copy")
    shutil.rmtree(folder)
    (folder.parent / "copy").rename(folder)
    assert not (folder / "latest").is_symlink()


def as_folder(folder):
    copied(folder)


def as_half_a_folder(folder):
    copied(folder)
    shutil.rmtree(folder / "latest" / "steps")
    (folder / "latest" / "manifest.json").unlink()


def as_an_empty_folder(folder):
    (folder / "latest").unlink()
    (folder / "latest").mkdir()


def as_text(folder):
    (folder / "latest").unlink()
    (folder / "latest").write_text("v0002\n")


def leading_nowhere(folder):
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("v0000")


@pytest.mark.parametrize("change", [as_folder, as_half_a_folder, as_an_empty_folder, as_text, leading_nowhere])
@pytest.mark.parametrize("command", ["run", "gc"])
def test_what_is_left_of_the_link_is_replaced(folder, change, command):
    change(folder)
    store.check(folder)
    if command == "run":
        example_version.make(folder.parent, steps=STEPS)
    else:
        assert outputs.gc(folder.parent, keep=1) == [folder / "v0001"]
    assert (folder / "latest").is_symlink() and (folder / "latest").resolve() == store.latest(folder).resolve()
    assert all(store.verify(version) == [] for version in store.versions(folder))
    assert not list(folder.glob(".latest*"))


def with_a_note(folder):
    copied(folder)
    (folder / "latest" / "notes.txt").write_text("mine")


def with_an_edit(folder):
    copied(folder)
    (folder / "latest" / "metrics.json").write_text("{}")


def of_a_deleted_version(folder):
    (folder / "v0002" / "steps" / "more.txt").write_text("not in v0001")
    copied(folder)
    shutil.rmtree(folder / "v0002")


def another_text(folder):
    (folder / "latest").unlink()
    (folder / "latest").write_text("my notes")


def a_fifo(folder):
    (folder / "latest").unlink()
    os.mkfifo(folder / "latest")


@pytest.mark.parametrize("change", [with_a_note, with_an_edit, of_a_deleted_version, another_text, a_fifo])
def test_what_is_the_users_own_is_refused_before_anything_is_done(folder, change):
    change(folder)
    before = sorted(folder.rglob("*"))
    for command in (
        lambda: store.check(folder),
        lambda: outputs.gc(folder.parent, keep=1),
        lambda: example_version.make(folder.parent, steps=STEPS),
    ):
        with pytest.raises(UsageError, match="latest is neither a link nor a copy of a version; move it away"):
            command()
    assert [p for p in sorted(folder.rglob("*")) if p.name != ".lock"] == [p for p in before if p.name != ".lock"]


def test_a_copy_can_be_compared_and_shown(folder, capsys):
    copied(folder)
    options = ["--outputs", str(folder.parent)]
    assert cli.main(["diff", "lenet-mnist/v0001", "lenet-mnist/latest", *options]) == 0
    assert cli.main(["report", "lenet-mnist/latest", *options]) == 0
    assert capsys.readouterr().out.endswith("lenet-mnist/latest/report.html\n")


def test_a_file_with_the_name_of_a_version_is_none(folder):
    (folder / "v0007").write_text("")
    assert [v.name for v in store.versions(folder)] == ["v0001", "v0002"]
    assert outputs.resolve("lenet-mnist", folder.parent).name == "v0002"
    assert example_version.make(folder.parent, steps=STEPS).name == "v0008"


def test_clashing_names():
    for name in ("latest", "baselines", "v0001", "v12345", "x.fit", "x.tmp", "x.lock", "x.old", "x.work"):
        assert store.clash(name, ["fit", "search"])
    for name in ("latest-2", "v001", "v0001a", "fit", "x.fits", "x.train", "tmp"):
        assert not store.clash(name, ["fit", "search"])


@pytest.mark.parametrize("name", ["metrics.json", "manifest.json", "spec.resolved.yaml"])
def test_a_fifo_in_a_version_is_no_wait(folder, name):
    version = folder / "v0002"
    (version / name).unlink()
    os.mkfifo(version / name)
    for command in (["report", str(version)], ["diff", str(version), str(version)]):
        assert cli.main(command) == (0 if command[0] == "diff" and name == "manifest.json" else 2)


def test_text_that_names_no_version(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for text in ("fifo", str(tmp_path / "fifo"), "/dev/zero", "a" * 5000, "a\0b", ""):
        with pytest.raises(UsageError, match="no version"):
            outputs.resolve(text, tmp_path)


@pytest.fixture
def another_user():
    """The start of a command line whose process is bound by permissions, as root is not."""
    if os.geteuid():
        return []
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("root is bound by no permissions, and setpriv cannot change that")
    return prefix


def test_results_that_may_only_be_read_can_be_used(folder, another_user, tmp_path):
    outputs.write_report(folder / "v0002")
    own = tmp_path / "own"
    own.mkdir()
    spec = str(ROOT / "specs" / "profile-bitfusion.yaml")

    def command(*arguments):
        line = [*another_user, sys.executable, "-m", "mico_runner", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(line, cwd=own, capture_output=True, text=True, env=environment)

    everything = [folder.parent, *folder.rglob("*"), folder]
    modes = {p: p.stat().st_mode for p in everything if not p.is_symlink()}
    try:
        for path, mode in modes.items():
            if path != own:
                path.chmod(mode & 0o555)
        there = ["--outputs", str(folder.parent)]
        assert command("diff", "lenet-mnist/v0001", "lenet-mnist", *there).returncode == 0
        assert command("list", "models").returncode == 0
        assert command("plan", spec, *there).returncode == 0
        assert command("gc", "--dry-run", *there).returncode == 0
        shown = command("report", "lenet-mnist", *there)
        assert (shown.returncode, shown.stdout) == (0, f"{(folder / 'v0002' / 'report.html').resolve()}\n")
        shown = command("report", "lenet-mnist/v0001", *there)
        assert (shown.returncode, shown.stdout) == (0, "lenet-mnist-v0001.html\n")
        assert (own / "lenet-mnist-v0001.html").is_file()
        assert command("report", "lenet-mnist", "-o", "mine.html", *there).stdout == "mine.html\n"
        for refused in (command(spec, *there), command("gc", *there)):
            assert refused.returncode == 2 and "may not be written" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_lock_of_another_user_can_be_held(tmp_path, another_user):
    code = """
import sys
from pathlib import Path
from mico_runner.outputs.locks import FileLock
assert FileLock(Path(sys.argv[1])).acquire(wait=False)
"""
    (tmp_path / "lock").touch(mode=0o444)
    command = [*another_user, sys.executable, "-c", code, str(tmp_path / "lock")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
