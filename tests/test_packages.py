"""What is missing is installed as root, and named otherwise."""

import os
from pathlib import Path

import pytest

from fakes import fake_tool, quiet
from harness import packages
from harness.errors import InfraError
from harness.packages import Need


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which only our own commands exist."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(packages, "search_path", lambda: str(folder))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def apt(machine: Path, script: str) -> Path:
    """An apt-get that writes down how it was called, then runs `script`."""
    calls = machine.parent / "calls"
    fake_tool(machine, "apt-get", f'echo "$@" >>{calls}\n{script}')
    return calls


def test_what_is_there_is_not_asked_for(machine: Path) -> None:
    fake_tool(machine, "gcc", "")
    packages.ensure([Need("gcc", command="gcc")], quiet)


@pytest.mark.usefixtures("machine")
def test_a_package_is_named_once() -> None:
    needs = [Need("llvm", command="a"), Need("llvm", command="b"), Need("c", command="c")]
    assert packages.lacking(needs) == ("llvm", "c")


def test_command_and_file_must_both_be_there(machine: Path) -> None:
    need = Need("x", command="x", file=machine / "header.h")
    fake_tool(machine, "x", "")
    assert packages.lacking([need]) == ("x",)
    (machine / "header.h").touch()
    assert packages.lacking([need]) == ()


def test_root_installs(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    calls = apt(machine, f": >{machine}/gcc; /bin/chmod +x {machine}/gcc")
    said: list[str] = []
    packages.ensure([Need("gcc", command="gcc")], said.append)
    assert calls.read_text() == "install -y --no-install-recommends gcc\n"
    assert said == ["installing gcc"]


def test_stale_lists_are_updated_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script = f"""
        [ "$1" = update ] && exec /bin/touch {machine}/updated
        [ -e {machine}/updated ] || exit 100
        : >{machine}/gcc; /bin/chmod +x {machine}/gcc"""
    calls = apt(machine, script)
    packages.ensure([Need("gcc", command="gcc")], quiet)
    install = "install -y --no-install-recommends gcc"
    assert calls.read_text().splitlines() == [install, "update", install]


def test_others_are_told_the_exact_command(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    calls = apt(machine, "")
    with pytest.raises(InfraError) as caught:
        packages.ensure([Need("gcc", command="gcc"), Need("bc", command="bc")], quiet)
    assert str(caught.value).endswith("run: sudo apt-get install -y --no-install-recommends gcc bc")
    assert not calls.exists()


@pytest.mark.usefixtures("machine")
def test_elsewhere_the_packages_are_named() -> None:
    with pytest.raises(InfraError, match="missing: gcc"):
        packages.ensure([Need("gcc", command="gcc")], quiet)


def test_an_install_that_brings_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt(machine, "")
    with pytest.raises(InfraError, match="still not found: gcc"):
        packages.ensure([Need("gcc", command="gcc")], quiet)


def test_a_package_that_does_not_exist(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt(machine, '[ "$1" = update ] || { echo "E: Unable to locate package" >&2; exit 100; }')
    with pytest.raises(InfraError, match="Unable to locate package"):
        packages.ensure([Need("gcc", command="gcc")], quiet)
