"""Find out who can execute the guest: KVM or, failing that, emulation (TCG).

That /dev/kvm opens proves nothing: a nested KVM may refuse a register, or hang before the
kernel's first line. So a kernel is booted, without a root, until it panics for want of one. The
answer holds until the host reboots or QEMU changes, and is kept in build/.
"""

import argparse
import hashlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.machine.vm import Accel
from harness.model import ROOT

CACHE = ROOT / "build/accel.json"
PROBE_SECONDS = 5.0
_KVM = Path("/dev/kvm")
_ALIVE = "Kernel panic - not syncing: VFS"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Answer:
    """Who executes the guest, and why not KVM if it is not."""

    accel: Accel
    why: str

    def __str__(self) -> str:
        """One line for the user."""
        return f"{self.accel} ({self.why})"


def add_option(
    parser: "argparse.ArgumentParser | argparse._ArgumentGroup",
    what: str = "who executes the guest; auto tries KVM and falls back to emulation (TCG)",
) -> None:
    """Teach a parser `--accel`, whose value is for choose()."""
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto", help=what)


def probe_argv(qemu: Path, bzimage: Path) -> list[str]:
    """A machine with nothing but a CPU like the one vng asks for and a serial port. Pure."""
    return [
        str(qemu),
        *("-accel", "kvm", "-cpu", "host,topoext=on", "-smp", "2", "-m", "256M"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(bzimage)),
        *("-append", "console=ttyS0 panic=-1 root=none"),
    ]


def judge(result: proc.Result) -> Answer:
    """Whether a probe that printed `result` shows that KVM works. Pure."""
    if _ALIVE in result.stdout:
        return Answer("kvm", "/dev/kvm boots a kernel")
    if result.timed_out:
        how = f"a kernel did not come up on it within {PROBE_SECONDS:.0f} s"
    elif result.returncode < 0:
        how = f"QEMU died of {signal.Signals(-result.returncode).name} on it"
    else:
        how = f"QEMU ended on it with status {result.returncode} before a kernel came up"
    return Answer("tcg", f"emulation: {_KVM} opens, but {how}")


def _openable() -> str:
    """Why /dev/kvm cannot be opened, or "" if it can."""
    try:
        os.close(os.open(_KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return str(error.strerror)
    return ""


def probe(bzimage: Path) -> Answer:
    """Try KVM with this kernel; a matter of seconds. Raises InfraError when there is no QEMU."""
    qemu = proc.which("qemu-system-x86_64")
    if qemu is None:
        raise InfraError(
            "qemu-system-x86_64 is not on PATH: run 'apt-get install qemu-system-x86' as root"
        )
    if reason := _openable():
        return Answer("tcg", f"emulation: {_KVM}: {reason}")
    argv = probe_argv(qemu, bzimage)
    return judge(proc.run(argv, timeout=PROBE_SECONDS, check=None))


def _circumstances() -> str:
    """What the answer depends on: this boot of the host, its KVM device and its QEMU."""
    qemu = proc.which("qemu-system-x86_64")
    facts = [_BOOT_ID.read_text("utf-8").strip() if _BOOT_ID.exists() else "", _openable()]
    if qemu is not None:
        facts.append(f"{qemu.resolve()} {qemu.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _remembered(cache: Path, key: str) -> Answer | None:
    """The kept answer, if it was given in the same circumstances."""
    try:
        kept = json.loads(cache.read_text("utf-8"))
        accel = kept["accel"]
        if kept["key"] == key and accel in ("kvm", "tcg"):
            return Answer(accel, str(kept["why"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def choose(wanted: str, bzimage: Path, cache: Path = CACHE) -> Answer:
    """What `--accel` means here: "kvm" and "tcg" are taken at their word, "auto" is probed."""
    if wanted == "kvm":
        return Answer("kvm", "as asked")
    if wanted == "tcg":
        return Answer("tcg", "as asked")
    key = _circumstances()
    answer = _remembered(cache, key)
    if answer is None:
        answer = probe(bzimage)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps({"key": key, **asdict(answer)}, indent=1) + "\n", "utf-8")
    return answer
