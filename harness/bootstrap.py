"""The project's own virtual environment, made when missing and entered unasked.

Standard library only: this runs before any dependency exists. A front door calls
``ensure()`` first and finds itself, when that returns, in build/venv with the versions that
requirements.lock pins.
"""

import fcntl
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.model import ROOT

VENV = ROOT / "build/venv"
LOCK = ROOT / "requirements.lock"
_PYTHON = (3, 11)
_MARK = "KRSI_VENV"
_PIP_TIMEOUT = 900.0


def ensure(venv: Path = VENV, lock: Path = LOCK) -> None:
    """Return inside the environment: make it if needed, then execute ourselves anew in it.

    Raises:
        InfraError: this Python is too old, cannot make environments, or pip failed.
    """
    if sys.version_info < _PYTHON:
        raise InfraError(f"Python {_PYTHON[0]}.{_PYTHON[1]} or later is needed.")
    inside = Path(sys.prefix).resolve() == venv.resolve()
    wanted = _wanted(lock)
    if inside and _stamp(venv) == wanted:
        return
    if os.environ.get(_MARK) == wanted and inside:
        raise InfraError(f"{venv} keeps changing: another program rewrites it.")
    python = venv / "bin/python3"
    if _stamp(venv) != wanted or not python.exists():
        _make(venv, lock, wanted)
    environment = {**os.environ, _MARK: wanted}
    environment["PATH"] = f"{venv / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    sys.stdout.flush()
    os.execve(python, [str(python), *sys.orig_argv[1:]], environment)  # noqa: S606


def _wanted(lock: Path) -> str:
    """What the environment must have been made from: the pins and this Python."""
    pins = hashlib.sha256(lock.read_bytes()).hexdigest()
    return f"{sys.version_info[0]}.{sys.version_info[1]} {pins}"


def _stamp(venv: Path) -> str:
    """What the environment was made from; empty while it is not complete."""
    try:
        return (venv / "pins").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _make(venv: Path, lock: Path, wanted: str) -> None:
    """Make or refresh the environment; one process at a time."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / "venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if _stamp(venv) == wanted and (venv / "bin/python3").exists():
            return
        print(f"making the virtual environment {venv.name} (once) …", file=sys.stderr, flush=True)
        (venv / "pins").unlink(missing_ok=True)
        python = str(getattr(sys, "_base_executable", None) or sys.executable)
        if not _usable(venv):
            _need_ensurepip()
            proc.run([python, "-m", "venv", "--clear", venv], timeout=_PIP_TIMEOUT)
        log = venv.parent / "venv.log"
        log.unlink(missing_ok=True)
        pip: list[str | Path] = [
            venv / "bin/python3",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
        ]
        proc.run([*pip, "--requirement", lock], log=log, timeout=_PIP_TIMEOUT)
        (venv / "pins").write_text(wanted, encoding="utf-8")


def _usable(venv: Path) -> bool:
    """Whether the environment stands on this version of Python and has pip."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return (venv / "bin/python3").exists() and (venv / f"lib/{version}/site-packages/pip").is_dir()


def _need_ensurepip() -> None:
    """Debian splits ensurepip into python3-venv: install it as root, otherwise name it."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", "python3-venv"]
    if os.geteuid() != 0 or proc.which("apt-get") is None:
        raise InfraError(f"Python's venv module is not complete; run: {' '.join(command)}")
    noninteractive = {"DEBIAN_FRONTEND": "noninteractive"}
    proc.run(["apt-get", "update"], env=noninteractive, timeout=_PIP_TIMEOUT)
    proc.run(command, env=noninteractive, timeout=_PIP_TIMEOUT)
    importlib.invalidate_caches()
