"""The machine that is measured: one CPU, emulated, in which nothing depends on the host.

QEMU counts instructions (-icount shift=0): the guest's time is the number of instructions that it
has executed, a nanosecond each, and an idle CPU skips to its next timer. There is no disk, no
network and no folder of the host, the clock starts at a fixed date and random numbers come from a
fixed seed. So two boots of one kernel give the same least of many batches; where an interrupt falls
may differ, which shows in the dearest ones alone. All of user space is bench/main.c, in an
initramfs; it reports on the second serial port.
"""

from dataclasses import dataclass
from pathlib import Path

from harness import packages, proc
from harness.bench.plan import Boot
from harness.bench.record import Reported, parse
from harness.kernel import kmake
from harness.machine.vm import Accel
from harness.model import BuildPaths

#: Seconds for a boot, from the firmware to the end; emulation on a busy host is slow.
DEADLINE = 900.0
#: What the guest mounts on.
FOLDERS = ("dev", "proc", "sys", "tmp")
_OPTIONS = ("console=ttyS0", "loglevel=5", "panic=-1", "norandmaps", "lsm=landlock,yama,bpf")
_EMULATED = (
    *("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max"),
    *("-seed", "1", "-rtc", "base=2026-01-01,clock=vm"),
)
_REAL = ("-accel", "kvm", "-cpu", "host")


@dataclass(frozen=True)
class Kernel:
    """What is booted.

    Attributes:
        variant: its name.
        bzimage: the kernel.
        initrd: the initramfs.
    """

    variant: str
    bzimage: Path
    initrd: Path


def argv(accel: Accel, kernel: Kernel, console: Path, report: Path, asked: Boot) -> list[str]:
    """The command that runs the machine. Pure."""
    clock = "instructions" if accel == "tcg" else "nanoseconds"
    return [
        *("qemu-system-x86_64", "-M", "q35", *(_EMULATED if accel == "tcg" else _REAL)),
        *("-smp", "1", "-m", "1G", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot"),
        *("-serial", f"file:{console}", "-serial", f"file:{report}"),
        *("-kernel", str(kernel.bzimage), "-initrd", str(kernel.initrd)),
        *("-append", " ".join([*_OPTIONS, "--", clock, *asked.words])),
    ]


def measure(accel: Accel, kernel: Kernel, asked: Boot, folder: Path) -> Reported:
    """Boot once and read the report; its problems say what went wrong.

    Args:
        accel: who executes the guest.
        kernel: what is booted.
        asked: what is measured.
        folder: gets the console and the report.

    Raises:
        InfraError: QEMU is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = asked.name.replace("+", "-")
    console, report = folder / f"{name}.log", folder / f"{name}.jsonl"
    log = kmake.fresh(folder / f"{name}.qemu")
    report.unlink(missing_ok=True)
    done = proc.run(
        argv(accel, kernel, console, report, asked),
        env={"PATH": packages.search_path()},
        log=log,
        timeout=DEADLINE,
        check=None,
    )
    text = report.read_text("utf-8", "replace") if report.exists() else ""
    why = _last_words(console) if done.ok else f"QEMU {done.why}: see {log}"
    return parse(text, asked.cases, f"{kernel.variant}: {name}: {why}")


def _last_words(console: Path, lines: int = 1) -> str:
    """The end of the kernel's log, for a message."""
    text = console.read_text("utf-8", "replace") if console.exists() else ""
    said = [line.strip() for line in text.splitlines() if line.startswith("bench: ")]
    return "; ".join(said[-lines:]) or f"see {console}"


def build(paths: BuildPaths, folder: Path, sources: Path) -> dict[str, bytes]:
    """Compile the guest's programs for a kernel, and return them without their symbols.

    Raises:
        BuildError: a source file was refused.
    """
    log = kmake.fresh(folder / "make.log")
    words = (
        f"OUT={folder}",
        f"BTF={paths.btf}",
        f"LIBBPF={paths.root / 'libbpf'}",
        f"BPFTOOL={paths.bin / 'bpftool'}",
    )
    command = ["make", "--no-print-directory", "-C", str(sources), f"-j{kmake.jobs()}", *words]
    kmake.make(f"bench of {paths.root.name}", command, log, build=paths.root)
    found = {}
    for name in ("init", "nothing"):
        stripped = folder / f"{name}.stripped"
        proc.run(["strip", "-o", stripped, folder / name], timeout=60)
        found[name] = stripped.read_bytes()
    return found
