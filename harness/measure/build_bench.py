"""What `make bench-build` measures: how long `make kernel` takes, and a machine until its tests.

Everything happens in build/bench-build, which has sources, an output folder and a ccache of its
own: neither build/tree nor build/<variant> is touched. The sources are what kernel-patches/ says.

Seconds of a build depend on what else the machine does, so the load average and the processor
time (user and system, of make and all its children) stand beside them. The page cache is as it
happens to be; the sources have just been read, as they have in a clone that was just built.
"""

import argparse
import os
import platform
import re
import resource
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness import packages, proc, report
from harness.errors import BuildError, InfraError, KrsiError, UsageError
from harness.kernel import build, kmake
from harness.machine import accel, vm
from harness.measure import build_bench_vm, build_profile
from harness.model import ROOT, BuildPaths, Variant
from harness.progress import say, watching
from harness.trees import source, tree
from harness.trees.git import Repo

FOLDER = ROOT / "build/bench-build"
SCHEMA = 1
#: The goals are for this many processors; where there are more, only as many are used.
CPUS = 2
#: A build with nothing to do is over so soon that one run says little.
_UNCHANGED_RUNS = 3
_FRONT_DOOR = (sys.executable, "-m", "harness", "kernel")
_COMPILES = re.compile(r"^\s+(?:AS|BPF|CC|CLANG|HOSTCC)\s", re.MULTILINE)
_EDIT = "\nconst unsigned long krsi_bench_build = {}UL;\n"
_DEPTH, _ROWS = 2, 25


@dataclass(frozen=True)
class Part:
    """One thing that is measured.

    Attributes:
        name: what the user types after --only.
        what: one line for a person.
        goal: what the figure should stay below.
        unit: "s" for seconds, "x" for a ratio.
    """

    name: str
    what: str
    goal: float
    unit: str = "s"


#: In the order in which they are measured: as few builds as possible that nobody measures.
PARTS = {
    part.name: part
    for part in (
        Part("cold", "a fresh output folder, an empty ccache", 720),
        Part("warm", "a fresh output folder, a full ccache", 240),
        Part("unchanged", "nothing to do", 3),
        Part("vm", "start to first test, over a bare vng boot", 1.2, "x"),
        Part("changed", "one changed file", 60),
    )
}

DESCRIPTION = """\
Measure how long `make kernel` takes, and how long a virtual machine takes until its first test.
Results: a table here, and build/bench-build/<time>.json (`latest` leads to it)."""
EPILOG = "parts, and what each should stay below on 2 CPUs:\n" + "\n".join(
    f"  {part.name:10} {part.what} (< {part.goal:g}{' s' if part.unit == 's' else ''})"
    for part in PARTS.values()
)
EPILOG += """

All of it takes half an hour and 8 GiB below build/bench-build, where it has its own sources (made
from kernel-patches/), output and ccache; your build/tree and build/<variant> are not touched.
A part that needs a built kernel has one built first, unmeasured, from your own ccache.
Let the machine do nothing else: the table says how busy it was.

examples:
  make bench-build                              everything, of krsi
  make bench-build ONLY=unchanged,vm
  make bench-build ONLY=cold PROFILE=1          and which directories cost most
  make bench-build VARIANT=upstream             the peer, to compare with
"""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        variant: which kernel.
        parts: what is measured.
        kernel_src: KERNEL_SRC; None for Debian's package.
        boots: how often each of the two machines boots.
        accel: as in ./run_tests.py --accel.
        profile: tell which directories cost most in the cold build.
        folder: where everything is made.
    """

    variant: Variant
    parts: tuple[Part, ...]
    kernel_src: str | None = None
    boots: int = 5
    accel: str = "auto"
    profile: bool = False
    folder: Path = FOLDER


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Attributes:
        part: of what.
        value: in the part's unit.
        load: load average of the last minute, before and after.
        cpu: processor seconds of all children; None where they say nothing.
        note: what is behind the figure, for a person.
        facts: the same and more, for a program.
    """

    part: Part
    value: float
    load: tuple[float, float]
    cpu: float | None = None
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """The goal is reached."""
        return self.value < self.part.goal


@dataclass(frozen=True)
class Spent:
    """What one `make kernel` cost.

    Attributes:
        wall: seconds from start to end.
        cpu: processor seconds of make and all its children.
        load: load average of the last minute, before and after.
        phases: what had to be done, by the names of build.py.
        compiled: how many files.
    """

    wall: float
    cpu: float
    load: tuple[float, float]
    phases: tuple[str, ...]
    compiled: int


def choose(names: str) -> tuple[Part, ...]:
    """The parts that a comma-separated list means, in the order of `PARTS`; all when empty.

    Raises:
        UsageError: there is no such part.
    """
    wanted = set(filter(None, names.split(",")))
    for name in sorted(wanted - PARTS.keys()):
        raise UsageError(f"--only: there is no part {name!r}; there are {', '.join(PARTS)}.")
    return tuple(part for part in PARTS.values() if not wanted or part.name in wanted)


class Bench:
    """The measurements of one run, each a method that is called like its part.

    Args:
        request: what was asked for.
        trees: the sources, below the request's folder.
    """

    def __init__(self, request: Request, trees: tree.Trees) -> None:
        self.request = request
        self.paths = BuildPaths.of(request.variant.name, request.folder)
        self.profile: tuple[build_profile.Compilation, ...] = ()
        self._kernel = trees.kernel
        self._own = {"CCACHE_DIR": str(request.folder / "ccache")}
        self._built = False
        self._filled = False
        if request.profile:
            # The warm build, too: what ccache finds may depend on how the compiler was called.
            self._own |= build_profile.install(request.folder / "profile")

    def measure(self, part: Part) -> Figure:
        """Measure one part."""
        method: Callable[[Part], Figure] = getattr(self, part.name)
        return method(part)

    def cold(self, part: Part) -> Figure:
        """Build into a fresh folder with an empty ccache."""
        _delete(Path(self._own["CCACHE_DIR"]))
        figure = self._fresh(part)
        if self.request.profile:
            self.profile = build_profile.collect(self._own)
        return figure

    def warm(self, part: Part) -> Figure:
        """Build into a fresh folder with a ccache that has all of it."""
        if not self._filled:
            _delete(self.paths.root)
            self._make("filling the ccache", self._own)
        figure = self._fresh(part)
        if not figure.facts["ccache"]["hits"]:
            raise InfraError(
                "ccache found nothing of what was just built: does /etc/ccache.conf disable it?"
            )
        return figure

    def unchanged(self, part: Part) -> Figure:
        """Build again what was just built."""
        self._settle()
        runs = [self._make(part.name) for _ in range(_UNCHANGED_RUNS)]
        for phase in (phase for run in runs for phase in run.phases):
            raise InfraError(
                f"a build with nothing to do has done '{phase}' again: see "
                f"{self._log(part.name)}, and whether another program writes to "
                f"{self.request.folder}."
            )
        return Figure(
            part,
            statistics.median(run.wall for run in runs),
            (runs[0].load[0], runs[-1].load[1]),
            statistics.median(run.cpu for run in runs),
            f"median of {len(runs)}",
            {"runs": [round(run.wall, 2) for run in runs]},
        )

    def vm(self, part: Part) -> Figure:
        """Boot our machine and a bare one, in turn."""
        self._settle()
        answer = accel.choose(self.request.accel, self.paths.bzimage)
        before = os.getloadavg()[0]
        log = kmake.fresh(self._log(part.name))
        with watching("virtual machines", log) as tick, log.open("a", encoding="utf-8") as file:

            def told(line: str) -> None:
                print(line, file=file, flush=True)
                tick()

            plan = build_bench_vm.Plan(
                self.request.variant,
                self.paths,
                answer.accel,
                vm.find_vng(),
                self.request.folder / "vm",
                told,
            )
            boots = build_bench_vm.compare(plan, self.request.boots)
        ours, bare, ended = map(statistics.median, (boots.ours, boots.bare, boots.ended))
        return Figure(
            part,
            boots.ratio,
            (before, os.getloadavg()[0]),
            None,
            f"{ours:.1f} s over {bare:.1f} s ({ended:.1f} s until vng ended), "
            f"medians of {self.request.boots}, {answer.accel}",
            {
                "accelerator": str(answer),
                **{name: [round(one, 3) for one in many] for name, many in asdict(boots).items()},
            },
        )

    def changed(self, part: Part) -> Figure:
        """Change one file and build again."""
        self._settle()
        path = file_to_change(self._kernel.path)
        name = path.relative_to(self._kernel.path)
        with edited(path):
            spent = self._make(part.name)
        self._built = False
        if not spent.compiled:
            raise InfraError(f"{name} was changed, and nothing was compiled for it.")
        return _of_build(part, spent, f"{name}, {_compilations(spent)}", {"file": str(name)})

    def _fresh(self, part: Part) -> Figure:
        _delete(self.paths.root)
        self._ccache("--zero-stats")
        spent = self._make(part.name, self._own)
        self._filled = True
        hits, misses = cache_use(self._ccache("--print-stats"))
        note = f"{_compilations(spent)}; ccache: {hits} found, {misses} not"
        return _of_build(part, spent, note, {"ccache": {"hits": hits, "misses": misses}})

    def _ccache(self, option: str) -> str:
        words = ["ccache", option]
        return proc.run(words, env={**self._own, "PATH": packages.search_path()}).stdout

    def _settle(self) -> None:
        """Have the kernel built as its sources are, unmeasured, unless it just was."""
        if not self._built:
            self._make("building what is measured")

    def _log(self, what: str) -> Path:
        return self.request.folder / "log" / f"{what.replace(' ', '-')}.log"

    def _make(self, what: str, environment: Mapping[str, str] | None = None) -> Spent:
        """Do what `make kernel` does, as a process of its own.

        Raises:
            KrsiError: of the family that its exit status tells.
        """
        log = kmake.fresh(self._log(what))
        # Each phase that has something to do leaves a new log there.
        _delete(self.paths.root / "log")
        command = [
            *_FRONT_DOOR,
            f"--variant={self.request.variant.name}",
            f"--kernel-src={self.request.kernel_src or ''}",
            f"--build={self.request.folder}",
        ]
        load, cpu = os.getloadavg()[0], _children()
        with watching(f"{self.request.variant.name}: {what}", log) as tick:
            done = proc.run(command, env=environment, log=log, tick=tick, check=None)
        if not done.ok:
            raise failure(done, log.read_text("utf-8", "replace"))
        self._built = True
        logs = sorted(self.paths.root.glob("log/*.log"))
        texts = (one.read_text("utf-8", "replace") for one in logs)
        return Spent(
            wall=done.seconds,
            cpu=_children() - cpu,
            load=(load, os.getloadavg()[0]),
            phases=tuple(one.stem for one in logs),
            compiled=sum(len(_COMPILES.findall(text)) for text in texts),
        )


def _of_build(part: Part, spent: Spent, note: str, facts: Mapping[str, Any]) -> Figure:
    facts = {"compilations": spent.compiled, **facts}
    return Figure(part, spent.wall, spent.load, spent.cpu, note, facts)


def _compilations(spent: Spent) -> str:
    return f"{spent.compiled} compilation{'' if spent.compiled == 1 else 's'}"


def _delete(folder: Path) -> None:
    """Delete a folder that may not be there.

    Raises:
        InfraError: something in it stays: nothing that follows would be measured from nothing.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InfraError(f"{folder} cannot be deleted: {error}.") from error


def _children() -> float:
    """Processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cache_use(stats: str) -> tuple[int, int]:
    """Hits and misses, from `ccache --print-stats`. Pure."""
    counts = dict(re.findall(r"^(\w+)\t(\d+)$", stats, re.MULTILINE))
    hits = ("direct_cache_hit", "preprocessed_cache_hit")
    return sum(int(counts.get(name, 0)) for name in hits), int(counts.get("cache_miss", 0))


def failure(done: proc.Result, output: str) -> KrsiError:
    """What to raise for a `make kernel` that failed: its own words, its own family. Pure."""
    families: dict[int, type[KrsiError]] = {2: UsageError, 3: BuildError, 4: InfraError}
    _, found, said = f"\n{output}".rpartition("\nkrsi: ")
    if done.returncode in families and found:
        return families[done.returncode](said.strip())
    return InfraError(f"`make kernel` {done.why} (log: {done.log}).")


def file_to_change(kernel: Path) -> Path:
    """The largest source file of security/bpf/; security/security.c where there is none.

    Raises:
        InfraError: there is neither.
    """
    files = sorted((kernel / "security/bpf").glob("*.c"), key=lambda path: path.stat().st_size)
    path = files[-1] if files else kernel / "security/security.c"
    if not path.is_file():
        raise InfraError(f"{path} is missing: there is no file to change.")
    return path


@contextmanager
def edited(path: Path) -> Iterator[None]:
    """A source file with one constant more for as long as the block runs.

    The constant is another one each time, so that no ccache knows it, and of a type that every
    kernel has, so that no type changes. Afterwards the contents are what they were. The time is
    not: make would take the object file of the edited source for newer, and keep it.
    """
    before = path.read_bytes()
    number = int.from_bytes(os.urandom(7), "big")
    try:
        path.write_bytes(before + _EDIT.format(number).encode())
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def on_cpus(count: int) -> Iterator[int]:
    """Let this process and its children use at most `count` processors; yields how many."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield min(count, len(before))
    finally:
        os.sched_setaffinity(0, before)


def run(request: Request) -> Path:
    """Measure, show and record; returns the record.

    Each figure is recorded as soon as it is there: what fails later does not take it along.

    Raises:
        UsageError: options that do not go together, or KERNEL_SRC is wrong.
        BuildError: a build failed.
        InfraError: the machine let us down, or a measurement would not mean what it says.
    """
    if request.profile and PARTS["cold"] not in request.parts:
        raise UsageError("a profile is of the cold build: add cold to the parts.")
    for name in [name for name in os.environ if name.startswith("CCACHE_")]:
        if name != "CCACHE_DIR":
            del os.environ[name]
    packages.ensure((*packages.KERNEL, *packages.VM), say)
    with on_cpus(CPUS) as cpus, build.exclusive(request.folder, "bench.lock"):
        started = datetime.now(UTC)
        record = request.folder / f"{started.astimezone():%Y-%m-%d-%H%M%S}.json"
        host = _host(cpus)
        if host["load"] > cpus / 4:
            say(
                f"warning: the load average is {host['load']:.1f} before anything has begun: with "
                "something else running, the seconds will be too many"
            )
        bench = Bench(request, _sources(request))
        figures: list[Figure] = []
        try:
            for part in request.parts:
                figures.append(bench.measure(part))
                report.write(record, results(bench, figures, started, host))
                report.point_to_latest(record)
        finally:
            if figures:
                _show(bench, figures, cpus)
    return record


def _show(bench: Bench, figures: Sequence[Figure], cpus: int) -> None:
    console = Console()
    console.print(figures_table(figures, bench.request.variant.name, cpus))
    say("\n".join(notes(figures)))
    if bench.profile:
        total = next(figure.cpu or 0.0 for figure in figures if figure.part.name == "cold")
        shown = build_profile.directories(bench.profile, bench.paths.root, _DEPTH)
        console.print(profile_table(shown, total))


def _sources(request: Request) -> tree.Trees:
    """The sources, brought in step before anything is measured.

    An edit that is still there is of a run that was killed, or of somebody who took the folder for
    another: it is what kernel-patches/ says that is measured.
    """
    if not request.kernel_src:
        packages.ensure(packages.BASE, say)
    with build.exclusive(request.folder, "sources.lock"):
        for name in ("tree", f"src-{request.variant.name}"):
            repo = Repo(request.folder / name)
            if repo.exists and repo.commit("HEAD") and repo.changes():
                say(f"undoing edits in {repo.path}")
                repo.run("reset", "--quiet", "--hard")
        origin = source.locate(request.kernel_src)
        return tree.prepare(request.variant, origin, say, build=request.folder)


def _host(cpus: int) -> dict[str, Any]:
    """What the seconds depend on."""
    text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "used": cpus,
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "ccache": kmake.version("ccache"),
    }


def results(
    bench: Bench, figures: Sequence[Figure], started: datetime, host: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of the record; `schema` grows when a field changes its meaning or goes."""
    directories = build_profile.directories(bench.profile, bench.paths.root)
    return {
        "schema": SCHEMA,
        "started": started.isoformat(timespec="seconds"),
        "host": dict(host),
        "manifest": dict(report.read_manifest(bench.paths)),
        "figures": [
            {
                "part": figure.part.name,
                "what": figure.part.what,
                "value": round(figure.value, 3),
                "unit": figure.part.unit,
                "goal": figure.part.goal,
                "met": figure.met,
                "cpu": None if figure.cpu is None else round(figure.cpu, 2),
                "load": [round(load, 2) for load in figure.load],
                **figure.facts,
            }
            for figure in figures
        ],
        "profile": [asdict(one) for one in directories],
    }


def clock(seconds: float) -> str:
    """Seconds as a person reads them. Pure."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02} min"


def figures_table(figures: Sequence[Figure], variant: str, cpus: int) -> Table:
    """The figures beside their goals."""
    plural = "" if cpus == 1 else "s"
    goals = "" if cpus == CPUS else f"; the goals are for {CPUS}"
    table = Table(title=f"{variant}, on {cpus} CPU{plural}{goals}", title_justify="left")
    for name in ("part", "measured", "goal", "", "CPU s", "load"):
        right = name in ("measured", "goal", "CPU s", "load")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for figure in figures:
        show = clock if figure.part.unit == "s" else "{:.2f} x".format
        table.add_row(
            figure.part.name,
            show(figure.value),
            f"< {show(figure.part.goal)}",
            "[green]met[/green]" if figure.met else "[red]missed[/red]",
            "" if figure.cpu is None else f"{figure.cpu:.1f}",
            "{:.1f}-{:.1f}".format(*figure.load),
        )
    return table


def notes(figures: Sequence[Figure]) -> list[str]:
    """A line for each figure: of what it is, and what is behind it. Pure."""
    return [f"{figure.part.name:<9}  {figure.part.what}: {figure.note}" for figure in figures]


def profile_table(directories: Sequence[build_profile.Directory], total: float) -> Table:
    """Where the processor time of a cold build goes.

    Args:
        directories: the dearest first.
        total: processor seconds of the whole build.
    """
    table = Table(title="where the cold build's processor time goes", title_justify="left")
    table.add_column("directory", no_wrap=True)
    for name in ("calls", "CPU s", "share"):
        table.add_column(name, justify="right", no_wrap=True)

    def row(name: str, count: int | None, seconds: float) -> None:
        share = f"{100 * seconds / total:.1f} %" if total else ""
        table.add_row(name, "" if count is None else str(count), f"{seconds:.1f}", share)

    for one in directories[:_ROWS]:
        row(one.name, one.count, one.seconds)
    rest = directories[_ROWS:]
    if rest:
        row(
            f"{len(rest)} more directories",
            sum(one.count for one in rest),
            sum(one.seconds for one in rest),
        )
    compiling = sum(one.seconds for one in directories)
    row("no compiler: ccache, make, ld, pahole, objtool, …", None, max(0.0, total - compiling))
    return table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Teach a parser the options that are ours alone."""
    parser.add_argument(
        "--only", default="", metavar="PART[,PART]", help="measure only these; default: all"
    )
    parser.add_argument(
        "--boots",
        type=_positive,
        default=5,
        metavar="N",
        help="how often each of the two machines boots; default: 5",
    )
    accel.add_option(parser)
    parser.add_argument(
        "--profile",
        action="store_true",
        help="tell which directories cost most in the cold build; costs about 1 %% of it",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def command(args: argparse.Namespace) -> int:
    """Do what the command line says. Returns 0 whether or not the goals are met."""
    record = run(
        Request(
            variant=build.variant_named(args.variant),
            parts=choose(args.only),
            kernel_src=args.kernel_src or None,
            boots=args.boots,
            accel=args.accel,
            profile=args.profile,
        )
    )
    say(f"recorded: {os.path.relpath(record)}")
    return 0
