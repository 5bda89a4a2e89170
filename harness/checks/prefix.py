"""One prefix of the series: what it is, and how it is built, booted and tested.

A prefix must apply, be configured as asked, compile without a warning, say nothing new with W=1
about what its patch touches, boot, and pass the selftests that it brings.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import report
from harness.errors import BuildError
from harness.kernel import build, complaints, elf, fingerprint, kconfig, kmake
from harness.machine import accel, vm
from harness.machine.console import GuestGoneError
from harness.model import ROOT, VARIANTS
from harness.progress import watching
from harness.run import selftests
from harness.run.session import Program, VariantSession, machine_of
from harness.run.testrun import Settings
from harness.verdicts import policy, splat, verdict

SERIES = VARIANTS["krsi"]
POLICY = ROOT / "policy"
#: The module, as a kernel lists it that has it.
LSM = "bpf"

_ASK = "cat /sys/kernel/security/lsm 2>/dev/null || {{ mount -t securityfs x {0} && cat {0}/lsm; }}"
_SECURITYFS = "/sys/kernel/security"


@dataclass(frozen=True)
class Prefix:
    """The series up to one of its patches.

    Attributes:
        number: how many patches.
        commit: the last one.
        subject: of the last one.
        files: what the last one touches.
        contents: a hash of all sources with the last patch, and without it.
    """

    number: int
    commit: str
    subject: str
    files: tuple[str, ...]
    contents: str

    @property
    def kernel(self) -> bool:
        """Whether the last patch changes what a kernel is built from."""
        return any(not path.startswith(build.NOT_KERNEL) for path in self.files)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.number:3} {self.subject}"


@dataclass
class Result:
    """What was seen of one prefix.

    Attributes:
        number, subject, commit: which.
        faults: what is wrong, a line each.
        dropped: options that its Kconfig does not know.
        tests: how many verdicts of selftests there are.
        seconds: how long each phase took.
        checked: when.
    """

    number: int
    subject: str
    commit: str
    faults: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    tests: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    checked: str = ""

    @property
    def total(self) -> float:
        """Seconds it took."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Work:
    """One prefix under way.

    Attributes:
        base: where the base alone lies, made when it is first asked for.
    """

    job: build.Job
    prefix: Prefix
    result: Result
    base: Callable[[], Path]

    @cached_property
    def made(self) -> kmake.Kernel:
        """What is built."""
        return kmake.Kernel(SERIES.name, self.job.trees.kernel.path, self.job.paths.kernel)

    def log(self, phase: str) -> Path:
        """The empty log of a phase."""
        return kmake.fresh(self._log(phase))

    def _log(self, phase: str) -> Path:
        return self.job.request.build / "log" / f"{self.prefix.number:04}-{phase}.log"

    def kernel(self, wanted: kconfig.Config) -> Sequence[str]:
        """Build the kernel; returns what compilers and linkers warn of."""
        faults: list[str] = []
        paths = self.job.paths
        key = fingerprint.of_words(
            *self.job.toolchain.values(),
            self.job.kernel_sources.digest(without=build.NOT_KERNEL),
            kconfig.render(wanted),
        )

        def make() -> None:
            faults.extend(self._make(wanted))
            if faults:
                raise BuildError(faults.pop())

        try:
            build.phase(self.job, "kernel", key, [paths.bzimage, paths.vmlinux, paths.btf], make)
        except BuildError as error:
            faults.append(str(error))
        return faults

    def _make(self, wanted: kconfig.Config) -> Sequence[str]:
        log = self._log("kernel")
        complaints.forget(self.made, log)
        got = self.made.configure(wanted, kmake.fresh(log))
        kconfig.require(wanted, got, f"the kernel's configuration ({self.made.config})")
        with watching(f"{self.prefix.number}: kernel", log) as tick:
            self.made.make("kernel", log, "vmlinux", "bzImage", tick=tick)
        image = elf.Image(self.job.paths.vmlinux)
        kconfig.require(wanted, image.configuration(), f"the image ({image.path})")
        kmake.replace(self.job.btf, image.section(".BTF"))
        return tuple(dict.fromkeys(each.line for each in complaints.of_log(self.made, log)))

    def warnings(self, wanted: kconfig.Config) -> Sequence[str]:
        """Compile what the patch touches once more; returns what the base does not say."""

        def base() -> kmake.Kernel:
            made = kmake.Kernel(SERIES.name, self.base(), self.job.paths.root / "base")
            made.configure(wanted, self.log("base-configuration"))
            return made

        touched = tuple(path for path in self.prefix.files if self._is_kernel(path))
        review = complaints.Review(self.made, touched, base, self.log)
        return tuple(each.line for each in review.new())

    def _is_kernel(self, path: str) -> bool:
        there = self.job.trees.kernel.path / path
        return not path.startswith((*build.NOT_KERNEL, "tools/")) and there.is_file()

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """The selftests that the prefix brings."""
        return build.own_tests(self.job)

    def tools(self) -> Sequence[str]:
        """Build libbpf, bpftool and the selftests."""
        build.tools_and_selftests(self.job, self.tests)
        return ()

    def boot(self, wanted: kconfig.Config) -> Sequence[str]:
        """Boot, and run the selftests, or see that it is up; returns what went wrong."""
        answer = accel.choose("auto", self.job.paths.bzimage)
        folder = self.job.request.build / "reports" / f"{self.prefix.number:04}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        settings = Settings(
            vng=vm.find_vng(),
            accel=answer.accel,
            deadlines=vm.Deadlines.for_accel(answer.accel),
            policy=splat.load_policy(POLICY),
            known=_known(),
            reports=folder,
        )
        present = "CONFIG_BPF_LSM" in wanted
        faults = self._smoke(settings, present=present)
        return (*faults, *(self._selftests(settings) if self.tests and not faults else ()))

    def _smoke(self, settings: Settings, *, present: bool) -> tuple[str, ...]:
        """The machine comes up, the LSM is there or is not, and the kernel does not complain."""
        console = settings.reports / "console-smoke.log"
        machine = machine_of(
            SERIES,
            self.job.paths.bzimage,
            Program((), self.job.paths.bin),
            share=settings.reports,
            console=console,
            accel=settings.accel,
        )
        faults = []
        try:
            with vm.Vm(machine, settings.deadlines, settings.vng) as running:
                asked = running.channel.run(_ASK.format(_SECURITYFS), settings.deadlines.boot)
        except (vm.BootError, GuestGoneError, TimeoutError) as error:
            faults.append(f"{type(error).__name__}: {error} ({console})")
        else:
            faults += lsm_faults(asked.output, present=present)
        log = console.read_text(encoding="utf-8", errors="replace")
        found = splat.scan(log, settings.policy)
        return (*faults, *(f"{each.kind}: {each.title} ({console})" for each in found))

    def _selftests(self, settings: Settings) -> tuple[str, ...]:
        """Run every selftest of the prefix."""
        folder = self.job.trees.tree.path / "tools/testing/selftests/bpf/prog_tests"
        tests = [test for test in selftests.discover(folder) if test.name in self.tests]
        items = selftests.choose(tests, ())
        session = VariantSession(
            SERIES,
            self.job.paths,
            items,
            tests,
            settings=settings,
            judge=lambda item, reached, _: verdict.excuse(reached, "krsi", item, settings.known),
            resolve=report.Resolver(self.job.paths.vmlinux),
        )
        faults = []
        log = settings.reports / f"console-{SERIES.name}.log"
        try:
            with watching(f"{self.prefix.number}: selftests", log) as tick:
                for item in items:
                    reached = session.verdict(item)
                    tick()
                    self.result.tests += 1
                    if reached.status not in verdict.FINE:
                        why = f"{reached.status.value}: {reached.message}"
                        faults.append(f"{item.name}: {why} ({settings.reports})")
            session.close()
        finally:
            session.kill()
        return (*faults, *(f"{each.kind}: {each.title}" for each in session.strays))


def lsm_faults(said: str, *, present: bool) -> tuple[str, ...]:
    """What is wrong with a list of LSMs, as a kernel prints it. Pure."""
    names = said.strip().split(",")
    if not said.strip():
        return ("the kernel does not list its LSMs",)
    if present == (LSM in names):
        return ()
    return (f"the LSM {LSM} is {'missing' if present else 'there'}: {said.strip()}",)


def _known() -> tuple[verdict.KnownFailure, ...]:
    path = POLICY / "known-failures.txt"
    return verdict.parse_known(path.read_text(encoding="utf-8"), str(path), policy.today())
