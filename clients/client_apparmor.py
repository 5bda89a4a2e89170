"""AppArmor beside us in one kernel: its denial comes first, ours still works."""

import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import artifact, need, run

KERNEL_OPTIONS = "lsm=landlock,yama,apparmor,bpf apparmor=1"

PROFILE = """\
profile krsi_client {folder}/cat {{
  /** r,
  /** m,
  deny {folder}/secret r,
}}
"""


def _lsms() -> list[str]:
    return Path("/sys/kernel/security/lsm").read_text().strip().split(",")


@contextmanager
def _confined() -> Iterator[Path]:
    """A folder with a `cat` that AppArmor keeps from reading `secret`, for the block."""
    parser = need("/sbin/apparmor_parser", "apparmor")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "cat").write_bytes(Path("/bin/cat").read_bytes())
        (folder / "cat").chmod(0o755)
        for file in ("secret", "ours", "open"):
            (folder / file).write_text(f"{file}\n")
        profile = folder / "profile"
        profile.write_text(PROFILE.format(folder=folder))
        run(parser, "--replace", "--skip-cache", profile)
        try:
            yield folder
        finally:
            run(parser, "--remove", profile)


@contextmanager
def _policy(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Our program on file_open, which counts and denies by the names of files, for the block."""
    with subprocess.Popen(
        [artifact("opens"), "secret", "ours"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as policy:
        assert policy.stdout is not None
        assert policy.stdout.readline() == "ready\n"
        yield policy
        assert policy.stdin is not None
        policy.stdin.close()


def _calls(policy: subprocess.Popen[str]) -> dict[str, int]:
    """How often the program has seen each of its files opened."""
    assert policy.stdin is not None
    assert policy.stdout is not None
    print("?", file=policy.stdin, flush=True)
    answer: dict[str, int] = json.loads(policy.stdout.readline())
    print(answer)
    return answer


def _cat(folder: Path, file: str) -> str:
    """What the confined `cat` says of a file."""
    done = run(folder / "cat", folder / file, check=False)
    return done.stdout if done.returncode == 0 else done.stderr


def test_both_are_active() -> None:
    """The kernel runs AppArmor and the BPF LSM."""
    assert {"apparmor", "bpf"} <= set(_lsms())
    assert Path("/sys/module/apparmor/parameters/enabled").read_text() == "Y\n"


def test_apparmor_alone() -> None:
    """The profile denies one file and allows the others."""
    with _confined() as folder:
        assert _cat(folder, "open") == "open\n"
        assert _cat(folder, "ours") == "ours\n"
        assert os.strerror(errno.EACCES) in _cat(folder, "secret")


def test_its_denial_comes_first() -> None:
    """What AppArmor denies our program does not see; what it allows our program may deny."""
    with _confined() as folder, _policy(folder) as policy:
        assert _calls(policy) == {"secret": 0, "ours": 0}
        assert _cat(folder, "open") == "open\n"
        assert os.strerror(errno.EACCES) in _cat(folder, "secret")
        assert _calls(policy) == {"secret": 0, "ours": 0}
        assert os.strerror(errno.EPERM) in _cat(folder, "ours")
        assert _calls(policy) == {"secret": 0, "ours": 1}
        # Who is not confined by AppArmor meets our program on both.
        for file in ("secret", "ours"):
            assert os.strerror(errno.EPERM) in run("cat", folder / file, check=False).stderr
        assert _calls(policy) == {"secret": 1, "ours": 2}
