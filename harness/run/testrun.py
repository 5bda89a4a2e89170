"""One run of the runner for some items of one test: started, watched, and what it has left."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.machine.console import GuestGoneError, Marker
from harness.machine.vm import DEFAULT_CPUS, Accel, Deadlines, Vm
from harness.run.selftests import Item, Selftest, patterns
from harness.verdicts import files, ktap, splat
from harness.verdicts.verdict import Ending, Evidence, KnownFailure

LOG_LIMIT = 4 << 20
"""How much the kernel may print during one run of a test, in bytes: what prints more is ended."""

REPORT_LIMIT = 4 << 20
_OUTPUT_LIMIT = 1 << 16
_POLL = 0.05
_LOG_LAG = 2.0
_RUNNER_MARGIN = 10.0


@dataclass(frozen=True)
class Settings:
    """What all variants of a test session have in common.

    Attributes:
        vng: virtme-ng's command.
        accel: who executes the guest.
        deadlines: of each phase.
        policy: what is a splat.
        known: failures that are expected.
        reports: the folder of this session's report.
        environment: variables that C tests read, see `test_environment`.
        cpus: how many the machine has.
        machine: what tells its name and files from those of others that run at the same time.
        leave: whether a machine in which something failed is left up for a person.
        debugger: where a machine waits for gdb; None if it does not.
        again: from the names of a kernel and of an item to the command that runs it again.
    """

    vng: Path
    accel: Accel
    deadlines: Deadlines
    policy: splat.Policy
    known: tuple[KnownFailure, ...]
    reports: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: int = DEFAULT_CPUS
    machine: str = ""
    leave: bool = False
    debugger: Path | None = None
    again: Callable[[str, str], str] | None = None


def test_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What C tests get to see of ours: LSM_TEST_*, mostly how often they are to do a thing."""
    return {name: value for name, value in environ.items() if name.startswith("LSM_TEST_")}


def guest_script(
    runner: Sequence[str],
    report: Path,
    test: str,
    names: Sequence[str],
    limit: float,
    *,
    environment: Mapping[str, str],
) -> str:
    """The shell commands that run one test between two lines in the kernel's log. Pure."""
    command = [*runner, "--kmsg", f"--timeout={limit:.0f}", f"--output={report}", "--", *names]
    settings = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
    return (
        f"echo '<5>krsi: begin {test}' >/dev/kmsg; "
        f"{' '.join((*settings, shlex.join(command)))}; status=$?; "
        f"echo '<5>krsi: end {test}' >/dev/kmsg; (exit $status)"
    )


@dataclass
class TestRun:
    """One run of the runner for some items of one test.

    Attributes:
        offset: where in the console's file the lines begin that this run answers for, in bytes.
        end: where they end, as far as they have been read.
    """

    __test__ = False

    vm: Vm
    test: Selftest
    wanted: tuple[Item, ...]
    settings: Settings
    report: Path
    runner: Sequence[str]
    offset: int
    ending: Ending = Ending.RUNNING
    status: int | None = None
    end: int = 0
    _marker: Marker = field(default_factory=Marker.new)
    _started: float = 0.0
    _seen: tuple[int, int] = (-1, -1)
    _evidence: Evidence | None = None

    def start(self) -> None:
        """Start the runner in the guest."""
        self._started = time.monotonic()
        script = guest_script(
            self.runner,
            self.report,
            self.test.name,
            patterns(self.test, self.wanted),
            self.settings.deadlines.test,
            environment=self.settings.environment,
        )
        try:
            self._marker = self.vm.channel.start(script, str(self._output_file))
        except GuestGoneError:
            self.ending = Ending.GONE

    def poll(self) -> Evidence:
        """Wait a moment and return what is known by now."""
        if self.ending is Ending.RUNNING:
            try:
                self.status = self.vm.channel.poll(self._marker, _POLL)
            except GuestGoneError:
                self.ending = Ending.GONE
            if self.status is not None:
                self.ending = Ending.EXITED
                self._await_log()
            elif self.ending is Ending.RUNNING and time.monotonic() - self._started > self._limit:
                self.ending = Ending.EXPIRED
                self._ask_why()
            if self._flooded and self.ending is not Ending.GONE:
                self.ending = Ending.FLOODED
        return self._look()

    @property
    def _limit(self) -> float:
        """The runner ends a test that overruns; it gets a while to say so."""
        return self.settings.deadlines.test + _RUNNER_MARGIN

    @property
    def _output_file(self) -> Path:
        return self.report.with_suffix(".out")

    def _await_log(self) -> None:
        """The log may lag behind the channel; its end marker is the proof that it does not."""
        stop = time.monotonic() + _LOG_LAG
        while time.monotonic() < stop and not self._flooded:
            if splat.ended(files.text(self._log().data), self.test.name):
                break
            time.sleep(_POLL / 5)

    def _ask_why(self) -> None:
        """Have a stuck kernel print its blocked and running tasks, if it still listens."""
        with suppress(GuestGoneError, TimeoutError):
            self.vm.channel.run(
                "echo w >/proc/sysrq-trigger; echo l >/proc/sysrq-trigger", _LOG_LAG
            )

    def _output(self) -> str:
        """What the runner printed besides its report, and where to read on when it is stuck."""
        where = f"\nthe kernel's log: {self.vm.machine.console}\n" if self.dead else ""
        return files.text(files.read(self._output_file, _OUTPUT_LIMIT).data) + where

    @property
    def dead(self) -> bool:
        """Whether the machine is gone or stuck, or has to end."""
        return self.ending not in (Ending.RUNNING, Ending.EXITED)

    @property
    def _flooded(self) -> bool:
        return files.size(self.vm.machine.console) - self.offset > LOG_LIMIT

    def _log(self) -> files.Part:
        """The log of this run. A line that has not ended yet is for whoever reads on from there."""
        part = files.read(self.vm.machine.console, LOG_LIMIT, self.offset)
        return part if self.dead else part.lines

    def _look(self) -> Evidence:
        """Read report and log again if they have grown."""
        sizes = (files.size(self.report), files.size(self.vm.machine.console))
        ended = self._evidence is not None and self._evidence.ending is not Ending.RUNNING
        if self._evidence is None or sizes != self._seen or self.ending is not Ending.RUNNING:
            if ended and self._evidence is not None:
                return self._evidence
            self._seen = sizes
            part = self._log()
            self.end = part.end
            log = files.text(part.data)
            self._evidence = Evidence(
                test=self.test,
                wanted=self.wanted,
                report=self._read_report(),
                log=log,
                splats=splat.scan(log, self.settings.policy, self.test.name),
                ending=self.ending,
                status=self.status,
                output=self._output(),
                limit=self.settings.deadlines.test,
            )
        return self._evidence

    def _read_report(self) -> ktap.Report:
        """The report so far; one that is not read as a whole proves nothing."""
        part = files.read(self.report, REPORT_LIMIT)
        report = ktap.parse(files.text(part.data))
        if not part.left_out:
            return report
        problem = f"report: {part.left_out} bytes are too many to be read"
        return replace(report, problems=(problem, *report.problems))
