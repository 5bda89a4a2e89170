"""How long ./run_tests.py takes beside a bare vng: the goals, the measurement, docs/SPEED.md.

Both run the same binary on the same kernel with the same accelerator, memory and CPUs, in turn. All
times are wall clock, of processes as a user starts them, the start of Python included.
"""

import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.machine import accel, vm
from harness.model import ROOT, BuildPaths, Variant
from harness.progress import say
from harness.run import balance, selftests, suites

DESCRIPTION = (
    "Run one test, all tests, and all tests in two machines by ./run_tests.py, and the same by a "
    "bare vng; list the tests; build what has not changed. Makes docs/SPEED.md. Takes about four "
    "times as long as the tests; leave the machine alone meanwhile."
)
PAGE = ROOT / "docs/SPEED.md"
_ONE = "lsm_attach"
_HEAD = """\
# How fast the harness is

Made by `make speed`; change nothing here by hand. Seconds of wall clock, of processes as a user
starts them. A bare `vng` runs the same `lsm_tests` on the same kernel in a machine with as much
memory and as many CPUs; it decides nothing, keeps nothing and does not notice a splat.
"""


@dataclass(frozen=True)
class Figures:
    """What was measured, in seconds.

    Attributes:
        host: what ran it: accelerator and CPUs.
        kernel: its variant.
        one: one test by us, each time.
        bare_one: the same test by a bare vng.
        every: all tests by us, in one machine.
        bare_every: the same tests by a bare vng.
        two: the same tests by us, in two machines.
        tests: how many tests that were.
        listing: `--list`, each time.
        unchanged: `make kernel` when nothing has changed.
    """

    host: str
    kernel: str
    one: tuple[float, ...]
    bare_one: tuple[float, ...]
    every: float
    bare_every: float
    two: float
    tests: int
    listing: tuple[float, ...]
    unchanged: float


@dataclass(frozen=True)
class Row:
    """One goal and what was found."""

    what: str
    found: str
    goal: str
    met: bool


def rows(figures: Figures) -> list[Row]:
    """Every goal. Pure."""
    one, bare = statistics.median(figures.one), statistics.median(figures.bare_one)
    over, allowed = figures.every - figures.bare_every, 2.0 + 0.1 * figures.tests
    listing = statistics.median(figures.listing)
    gain = figures.every / figures.two
    many = f"{figures.tests} tests"
    return [
        Row(
            f"one test ({_ONE}), against bare",
            f"{one:.1f} s / {bare:.1f} s = {one / bare:.2f}",
            "at most 1.30",
            one / bare <= 1.3,
        ),
        Row(
            f"{many} in one machine, above bare",
            f"{figures.every:.1f} s − {figures.bare_every:.1f} s = {over:.1f} s",
            f"at most {allowed:.1f} s: 2 s a machine, 0.1 s a test",
            over <= allowed,
        ),
        Row(
            f"{many} in two machines, against one",
            f"{figures.every:.1f} s / {figures.two:.1f} s = {gain:.2f}",
            "at least 1.60",
            gain >= 1.6,
        ),
        Row("`./run_tests.py --list`", f"{listing:.2f} s", "under 0.50 s", listing < 0.5),
        Row(
            "`make kernel`, unchanged",
            f"{figures.unchanged:.1f} s",
            "under 3.0 s",
            figures.unchanged < 3,
        ),
    ]


def page(figures: Figures) -> str:
    """docs/SPEED.md. Pure."""
    how = (
        f"Kernel `{figures.kernel}`, {figures.host}. Medians of {len(figures.one)} runs for one "
        f"test and of {len(figures.listing)} for the list; the rest ran once."
    )
    lines = [
        _HEAD,
        how,
        "",
        "| | measured | goal | |",
        "|---|--:|---|---|",
        *(
            f"| {row.what} | {row.found} | {row.goal} | {'met' if row.met else '**missed**'} |"
            for row in rows(figures)
        ),
        "",
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Stopwatch:
    """Runs what is compared.

    Attributes:
        variant: on which kernel.
        accelerator: who executes the guests.
        vng: virtme-ng's command.
    """

    variant: Variant
    accelerator: vm.Accel
    vng: Path

    def ours(self, *words: str) -> float:
        """./run_tests.py with these words, all of it passing."""
        return self._timed([sys.executable, str(ROOT / "run_tests.py"), *words])

    def tests(self, *words: str) -> float:
        """Likewise, of our kernel."""
        return self.ours("--kernel", self.variant.name, "--accel", self.accelerator, *words)

    def unchanged(self) -> float:
        """The second of two builds."""
        words = [sys.executable, "-m", "harness", "kernel", "--variant", self.variant.name]
        self._timed(words)
        return self._timed(words)

    def bare(self, *names: str) -> float:
        """A bare vng that runs these tests, all of them passing."""
        return self._timed(bare_argv(self.vng, self.variant, self.accelerator, names))

    def _timed(self, words: Sequence[str]) -> float:
        started = time.monotonic()
        # One pipe for both: vng's machine does not come up when they are two.
        with proc.spawn(words, cwd=ROOT, env=vm.environment(Path.home())) as child:
            said = child.stdout.read() if child.stdout else ""
            status = child.wait()
        took = time.monotonic() - started
        if status != 0:
            last = (said.strip().splitlines() or [""])[-1]
            raise InfraError(f"`{shlex.join(words[:3])} …` ended with status {status}: {last}")
        say(f"{took:7.2f} s  {Path(words[0]).name} {' '.join(words[1:3])} …")
        return took


def bare_argv(
    vng: Path, variant: Variant, accelerator: vm.Accel, names: Sequence[str]
) -> list[str]:
    """The command line of a user of vng who runs the tests `names`. Pure.

    Emulation has one thread, as ours has: with more, the kernel now and then dies of a breakpoint
    that it has put into its own code, see `vm`.
    """
    paths = BuildPaths.of(variant.name)
    command = shlex.join([str(paths.runner), *names])
    path = f"export PATH={shlex.quote(str(paths.bin))}:$PATH"
    return [
        str(vng),
        f"--run={paths.bzimage}",
        f"--memory={variant.memory}",
        f"--cpus={vm.DEFAULT_CPUS}",
        "--user=root",
        *(["--disable-kvm"] if accelerator == "tcg" else []),
        f"--exec=mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; {path}; {command}",
        # Nothing may follow it.
        *(["--qemu-opts=-accel tcg,thread=single"] if accelerator == "tcg" else []),
    ]


def measure(variant: Variant, rounds: int) -> Figures:
    """Take all times.

    Raises:
        InfraError: something that was to be timed did not end well.
        BuildError: the kernel is not built.
    """
    paths = suites.built(variant.name, BuildPaths.of(variant.name))
    answer = accel.choose("auto", paths.bzimage)
    watch = Stopwatch(variant, answer.accel, vm.find_vng())
    # Those that need a boot of their own a bare vng would have to boot for, too.
    names = [test.name for test in selftests.discover() if not test.options]
    one: list[float] = []
    bare_one: list[float] = []
    for _ in range(rounds):
        one.append(watch.tests(_ONE))
        bare_one.append(watch.bare(_ONE))
    return Figures(
        host=f"{answer.accel}, {vm.DEFAULT_CPUS} CPUs a machine, {_memory(Path('/proc/meminfo'))}",
        kernel=variant.name,
        one=tuple(one),
        bare_one=tuple(bare_one),
        every=watch.tests(*names),
        bare_every=watch.bare(*names),
        two=watch.tests("-j", "2", *names),
        tests=len(names),
        listing=tuple(watch.ours("--list") for _ in range(5)),
        unchanged=watch.unchanged(),
    )


def _memory(meminfo: Path) -> str:
    free = balance.available(meminfo.read_text("utf-8"))
    return f"{free / (1 << 30):.0f} GiB of memory free"


def run(variant: Variant, rounds: int) -> int:
    """Measure and write the page. Returns 1 when a goal is missed."""
    figures = measure(variant, rounds)
    text = page(figures)
    PAGE.write_text(text, "utf-8")
    say(text)
    say(f"{PAGE.relative_to(ROOT)} is made")
    return 0 if all(row.met for row in rows(figures)) else 1
