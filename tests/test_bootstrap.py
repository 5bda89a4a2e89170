"""The environment is made once, made again when the pins change, and entered unasked."""

import importlib.util
import os
import sys
import tomllib
from pathlib import Path

import pytest

from harness import bootstrap, proc
from harness.errors import InfraError
from harness.model import ROOT


class Entered(Exception):  # noqa: N818 - it is no error: the process would be replaced here
    """os.execve was reached."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run; nothing is installed, nobody is replaced."""
    commands: list[list[str]] = []

    def run(argv: list[object], **options: object) -> None:
        del options
        commands.append([str(word) for word in argv])
        if "venv" in commands[-1]:
            python = Path(commands[-1][-1], "bin/python3")
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()

    def execve(program: Path, argv: list[str], environment: dict[str, str]) -> None:
        raise Entered(str(program), argv, environment)

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "harness", "kernel"])
    return commands


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text("pytest==1\n", encoding="utf-8")
    return path


def test_made_entered_and_kept(tmp_path: Path, lock: Path, made: list[list[str]]) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    with pytest.raises(Entered) as caught:
        bootstrap.ensure(venv, lock)
    program, argv, environment = caught.value.args
    assert program == str(venv / "bin/python3")
    assert argv == [program, "-m", "harness", "kernel"]
    assert environment["PATH"].startswith(f"{venv / 'bin'}:")
    assert made[0][1:] == ["-m", "venv", "--clear", str(venv)]
    assert made[1][-2:] == ["--requirement", str(lock)]
    with pytest.raises(Entered):
        bootstrap.ensure(venv, lock)
    assert len(made) == 2


def test_a_dangling_python_makes_it_anew(tmp_path: Path, lock: Path, made: list[list[str]]) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    for _ in range(2):
        with pytest.raises(Entered):
            bootstrap.ensure(venv, lock)
        (venv / "bin/python3").unlink()
    assert len(made) == 4


def test_changed_pins_make_it_anew(tmp_path: Path, lock: Path, made: list[list[str]]) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    for pins in ("pytest==1\n", "pytest==2\n"):
        lock.write_text(pins, encoding="utf-8")
        with pytest.raises(Entered):
            bootstrap.ensure(venv, lock)
    assert len(made) == 4


def test_inside_there_is_nothing_to_do(
    tmp_path: Path, lock: Path, made: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pins").write_text(bootstrap._wanted(lock), encoding="utf-8")
    monkeypatch.setattr(sys, "prefix", str(venv))
    bootstrap.ensure(venv, lock)
    assert made == []


def test_a_failed_install_is_not_taken_for_done(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: list[object], **options: object) -> None:
        del argv, options
        raise InfraError("pip failed")

    monkeypatch.setattr(proc, "run", fail)
    (tmp_path / "venv").mkdir()
    with pytest.raises(InfraError, match="pip failed"):
        bootstrap.ensure(tmp_path / "venv", lock)
    assert bootstrap._stamp(tmp_path / "venv") == ""


def test_a_split_venv_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InfraError, match=r"apt-get install .* python3-venv"):
        bootstrap._need_ensurepip()


def test_root_installs_it(made: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(proc, "which", lambda _: Path("/usr/bin/apt-get"))
    bootstrap._need_ensurepip()
    assert made[0] == ["apt-get", "update"]
    assert made[1][-1] == "python3-venv"


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(InfraError, match=r"Python 3\.11 or later"):
        bootstrap.ensure()


def test_the_lock_holds_every_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in locked if line and not line.startswith("#")]
    assert set(project["dependencies"]) <= set(pins)
    assert all("==" in pin for pin in pins)
