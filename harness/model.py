"""The nouns of the harness: variants, paths and verdicts. No I/O in here."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variant:
    """One kernel that is built from the same configuration.

    Attributes:
        name: what the user types after ``VARIANT=`` and ``--kernel``.
        series: how much of kernel-patches/ is applied: "all", "removal" or "none".
        what: one line for ``--help``.
        memory: of its machine, in QEMU's notation.
        patience: how many times as long as the others it may take for everything.
        finds_leaks: it has kmemleak, which is asked when its machine is about to end.
    """

    name: str
    series: str
    what: str
    memory: str = "2G"
    patience: int = 1
    finds_leaks: bool = False

    @property
    def fragment(self) -> Path:
        """The configuration lines in which this variant differs."""
        return ROOT / "configs" / f"{self.name}.config"


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("krsi", "all", "the whole series: the product"),
        Variant("upstream", "none", "no patch: the BPF LSM that 6.12 has"),
        Variant("none", "removal", "only the removal patches: no BPF LSM at all"),
        Variant("audit", "all", "programs run, no verdict is applied"),
        Variant(
            "debug",
            "all",
            "KASAN, lockdep, kmemleak, fault injection",
            memory="3G",
            patience=5,
            finds_leaks=True,
        ),
        Variant("kcsan", "all", "KCSAN: accesses that race", memory="3G", patience=5),
    )
}


@dataclass(frozen=True)
class BuildPaths:
    """Where the parts of one built variant lie.

    Attributes:
        root: build/<variant>, the only folder a variant's build writes to.
    """

    root: Path

    @classmethod
    def of(cls, variant: str, build: Path = ROOT / "build") -> "BuildPaths":
        """The paths of `variant` below the folder `build`."""
        return cls(build / variant)

    @property
    def kernel(self) -> Path:
        """The kernel's output folder (make O=)."""
        return self.root / "kernel"

    @property
    def bzimage(self) -> Path:
        """What boots."""
        return self.kernel / "arch/x86/boot/bzImage"

    @property
    def vmlinux(self) -> Path:
        """The ELF file with DWARF and BTF."""
        return self.kernel / "vmlinux"

    @property
    def btf(self) -> Path:
        """The raw BTF of the kernel; touched only when the types change."""
        return self.root / "vmlinux.btf"

    @property
    def bin(self) -> Path:
        """On PATH in the guest: bpftool and the selftest runner `lsm_tests`."""
        return self.root / "bin"

    @property
    def runner(self) -> Path:
        """The program that holds every C selftest and writes KTAP."""
        return self.bin / "lsm_tests"

    @property
    def manifest(self) -> Path:
        """What was built from what: base, series, configuration, compiler, times."""
        return self.root / "manifest.json"


@dataclass(frozen=True)
class Life:
    """From when to when a machine lived.

    Attributes:
        console: the name of its kernel's log.
        started: when it was told to boot, in seconds since the epoch.
        ready: when it was up; 0 if it did not come up.
        ended: when it was no more.
    """

    console: str
    started: float
    ready: float
    ended: float


class Status(Enum):
    """The verdict on one test. It starts as MISS and changes only on evidence."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    MISS = "miss"
    CRASH = "crash"
    HANG = "hang"
    SPLAT = "splat"
    FLOOD = "flood"
    XFAIL = "xfail"
