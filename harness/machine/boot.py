"""Boot a kernel of any architecture with one program of ours as all of its user space.

harness/machine/boot_init/init.c loads LSM programs through bpf(2) and reports as KTAP on the
console. It needs no library, root file system or device, so that kernels boot on which the
selftests cannot run: other architectures, no network, one processor. Emulation only: nothing here
is measured.
"""

import re
from pathlib import Path

from harness import packages, proc
from harness.errors import BuildError
from harness.kernel import kmake
from harness.kernel.arch import Arch
from harness.machine import initramfs
from harness.model import ROOT
from harness.verdicts import ktap, splat

INIT = ROOT / "harness/machine/boot_init/init.c"
POLICY = ROOT / "policy"
#: Seconds for a whole run, from the firmware to the end; emulation on a busy host is slow.
DEADLINE = 900.0
#: On the kernel's command line: no verdict is applied. init.c looks for it.
AUDIT = "krsi.audit"

_KERNEL_LINE = re.compile(r"\[\s*\d+\.\d+\]")
_BAIL_OUT = "Bail out!"


def compile_init(arch: Arch, program: Path) -> None:
    """Compile init.c, without a library to load.

    Raises:
        BuildError: the compiler refused it.
    """
    program.parent.mkdir(parents=True, exist_ok=True)
    proc.run(
        [arch.gcc, "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", program, INIT],
        env={"PATH": packages.search_path(), "LC_ALL": "C"},
        timeout=120,
        check=BuildError,
    )


def argv(arch: Arch, image: Path, initrd: Path, *, audit: bool) -> list[str]:
    """The command that runs the machine; its standard output is the console. Pure."""
    words = [f"console={arch.console}", "lsm=bpf", "panic=-1", "loglevel=5"]
    return [
        *arch.qemu,
        *("-accel", "tcg", "-smp", "2", "-m", "512", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(image), "-initrd", str(initrd)),
        *("-append", " ".join([*words, *([AUDIT] if audit else [])])),
    ]


def judge(console: str, policy: splat.Policy) -> tuple[str, ...]:
    """What is wrong with a run, by what the console says; nothing if all tests passed. Pure."""
    lines = [line.rstrip("\r") for line in console.splitlines()]
    own = [line for line in lines if line and not _KERNEL_LINE.match(line)]
    bailed = [line for line in own if line.startswith(_BAIL_OUT)]
    start = next((number for number, line in enumerate(own) if line.startswith("KTAP")), len(own))
    report = ktap.parse("".join(f"{line}\n" for line in own[start:]))
    failed = [
        f"{result.name}: {'; '.join(result.diagnostics) or 'failed'}"
        for result in report.results
        if not result.ok
    ]
    found = splat.scan(console, policy)
    return (
        *bailed,
        *failed,
        *(f"{each.kind}: {each.title}" for each in found),
        *(report.problems if not bailed else ()),
        *([] if report.results or bailed or report.problems else ["no test reported"]),
    )


def run(arch: Arch, image: Path, folder: Path, *, audit: bool) -> tuple[str, ...]:
    """Boot a kernel, run init.c, and say what went wrong.

    Args:
        arch: the kernel's architecture.
        image: the kernel.
        folder: gets the initramfs, and the console in console.log.
        audit: the kernel applies no verdict.

    Raises:
        BuildError: init.c does not compile.
        InfraError: QEMU is missing.
    """
    program, initrd = folder / "init", folder / "initrd"
    compile_init(arch, program)
    initrd.write_bytes(initramfs.archive({"init": program.read_bytes()}))
    console = kmake.fresh(folder / "console.log")
    done = proc.run(
        argv(arch, image, initrd, audit=audit),
        env={"PATH": packages.search_path()},
        log=console,
        timeout=DEADLINE,
        check=None,
    )
    text = console.read_text(encoding="utf-8", errors="replace")
    faults = judge(text, splat.load_policy(POLICY))
    if not done.ok:
        faults = (*faults, f"QEMU {done.why}")
    return tuple(f"{fault} ({console})" for fault in faults)
