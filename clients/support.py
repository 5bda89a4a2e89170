"""What client tests share: who is denied, Debian's tools, and what kernel this is."""

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BUILD = ""
"""Where the compiled parts lie; the runner says."""

DEBIAN_13 = ""
"""A folder with what is taken from Debian 13; the runner says."""

PINS = Path("/sys/fs/bpf/krsi_client")
"""Where a policy is pinned while it is loaded."""

DEBIANS_BPFTOOL = "/usr/sbin/bpftool"
VICTIM = "krsi_victim"
"""Programs in progs/ deny getpgid() to a task of this name."""


class SkipTest(Exception):  # noqa: N818 - it is no error
    """The test cannot say anything here; the argument is the reason."""


def need(path: str | Path, package: str) -> str:
    """The path, if it is there; otherwise the package that brings it could not be installed."""
    if not Path(path).exists():
        raise SkipTest(f"{path} is missing: Debian's package {package} is not installed")
    return str(path)


def artifact(name: str) -> str:
    """The path of a compiled part."""
    return need(Path(BUILD) / name, "libbpf-dev or bpftool")


def run(*argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command. What it is and what it says goes into the report."""
    print("$", *argv, flush=True)
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end="", flush=True)
    if check:
        assert done.returncode == 0, f"{argv[0]} exited with status {done.returncode}"
    return done


def query(tool: str, *words: str) -> Any:  # noqa: ANN401 - whatever bpftool has to say
    """What a bpftool answers, decoded."""
    return json.loads(run(tool, "-j", *words).stdout)


def our_bpftool() -> str:
    """The one that was built with the kernel; it comes first on PATH."""
    path = shutil.which("bpftool")
    assert path is not None
    assert path != DEBIANS_BPFTOOL
    return path


def debians_bpftool() -> str:
    """The one of Debian 12, with its own libbpf in it."""
    return need(DEBIANS_BPFTOOL, "bpftool")


def has_chains() -> bool:
    """Whether this is our BPF LSM, not the one that was merged in 5.7."""
    symbols = Path("/proc/kallsyms").read_text()
    return " bpf_lsm_chain_build\n" in symbols


def call(name: str = VICTIM) -> int:
    """Call getpgid() as a task of this name: 0, or the errno with which it was denied."""
    comm = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/comm")
    before = comm.read_text()
    comm.write_text(name)
    try:
        os.getpgid(os.getpid())
    except OSError as error:
        return error.errno or -1
    finally:
        comm.write_text(before.strip())
    return 0


def denied() -> bool:
    """Whether the victim is denied, and nobody else."""
    assert call("bystander") == 0, "somebody else was denied"
    answer = call()
    assert answer in (0, errno.EACCES), f"unexpected errno {answer}"
    return answer == errno.EACCES


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it comes true; some references go without anybody waiting for them."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if condition():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def attached() -> Iterator[str]:
    """The policy is loaded and pinned by Debian's bpftool, and `deny` attached, for the block.

    It has no command to attach an LSM program: that is done by a client of Debian's libbpf, which
    pins the link. Yields the path of bpftool.
    """
    tool = debians_bpftool()
    with loaded(tool):
        run(artifact("skeleton"), "attach", PINS / "deny", PINS / "link")
        yield tool


@contextmanager
def loaded(tool: str, *options: str) -> Iterator[None]:
    """The policy of progs/policy.bpf.c is pinned by this bpftool for as long as the block runs."""
    policy = artifact("policy.bpf.o")
    assert not denied(), "denied before"
    try:
        run(tool, "prog", "loadall", policy, PINS, *options)
        yield
    finally:
        for pin in PINS.iterdir() if PINS.exists() else ():
            pin.unlink()
        with suppress(FileNotFoundError):
            PINS.rmdir()
    assert eventually(lambda: not denied()), "still denied after the pins are gone"


def variable(tool: str, map_name: str, name: str) -> int:
    """The value of a program's global variable, in its .bss or .data map."""
    (content,) = query(tool, "map", "dump", "name", map_name)
    sections = content["formatted"]["value"]
    for variables in sections.values():
        for entry in variables:
            if name in entry:
                return int(entry[name])
    raise AssertionError(f"no variable {name} in {content}")
