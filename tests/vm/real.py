"""Real runs of ./run_tests.py: how to start one, what it has left, and which machines are up.

Reports go where the caller says, never below build/reports/, where `make proof` counts them.
"""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from harness import proc, report
from harness.model import ROOT
from harness.report import Result, Results

RUN = (sys.executable, str(ROOT / "run_tests.py"))

_FRONT = Path(__file__).with_name("front.py")
_DEADLINE = 900.0


@dataclass(frozen=True)
class Run:
    """One run of ./run_tests.py.

    Attributes:
        code: its exit status.
        output: what it printed.
        folder: its report.
        results: what results.json says.
        golden: what each run of a test has left, see front.py.
    """

    code: int
    output: str
    folder: Path
    results: Results
    golden: Path

    @classmethod
    def of(cls, code: int, output: str, base: Path) -> "Run":
        """What a run that was told to report below `base` has left."""
        print(output)
        match = re.search(r"^report: (\S+)$", output, re.MULTILINE)
        assert match, output
        folder = ROOT / match[1]
        assert folder.parent == base
        return cls(code, output, folder, report.load(folder), base / "golden")

    @property
    def items(self) -> dict[str, Result]:
        """The verdicts by name."""
        return {item.name: item for item in self.results.items}

    @property
    def consoles(self) -> tuple[str, ...]:
        """The kernels' logs, by their names in `folder`."""
        return self.results.kernels[0].consoles

    @property
    def peak(self) -> int:
        """The memory it needed, in KiB."""
        match = re.search(r"^peak: (\d+) KiB$", self.output, re.MULTILINE)
        assert match
        return int(match[1])


def front(base: Path, *words: str, boot: float = 120, test: float = 120) -> proc.Result:
    """Call ./run_tests.py for the suite `broken`, see front.py."""
    return proc.run(
        [sys.executable, _FRONT, base, str(boot), f"--timeout={test}", *words],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}"},
        timeout=_DEADLINE,
        check=None,
    )


def broken(base: Path, *words: str, boot: float = 120, test: float = 120) -> Run:
    """Run the suite `broken`."""
    done = front(base, *words, boot=boot, test=test)
    return Run.of(done.returncode, done.stdout + done.stderr, base)


def wait_for(said: str, child: "Popen[str]", log: Path) -> None:
    """Wait until a run has said something."""
    while said not in log.read_text("utf-8"):
        assert child.poll() is None, log.read_text("utf-8")
        time.sleep(0.1)


@dataclass(frozen=True)
class Machine:
    """A QEMU that boots a kernel of ours.

    Attributes:
        console: where the kernel's log goes.
        options: the kernel's command line.
    """

    console: Path
    options: tuple[str, ...]

    def runs(self, test: str) -> bool:
        """Whether a test is under way in it."""
        log = self.console.read_text("utf-8", "replace")
        return f"krsi: begin {test}" in log and f"krsi: end {test}" not in log


def machines() -> dict[int, Machine]:
    """The machines that are up, by process."""
    found = {}
    for number, words in _processes():
        console = re.search(r"chardev\.console\.path=(\S+)", " ".join(words))
        if words[0].endswith("qemu-system-x86_64") and console and str(ROOT) in " ".join(words):
            options = words[words.index("-append") + 1]
            found[number] = Machine(Path(console[1]), tuple(options.split()))
    return found


def worker_of(controller: int, test: str) -> int:
    """The child of `controller` in whose machine a test is under way."""
    (found,) = (number for number, machine in machines().items() if machine.runs(test))
    while (parent := _parent(found)) != controller:
        found = parent
    return found


def _parent(number: int) -> int:
    status = Path(f"/proc/{number}/status").read_text("utf-8", "replace")
    return int(status.partition("\nPPid:\t")[2].partition("\n")[0])


def _processes() -> Iterator[tuple[int, tuple[str, ...]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text("utf-8", "replace")
        except OSError:
            continue
        yield int(folder.name), tuple(words.split("\0"))
