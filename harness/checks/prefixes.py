"""Patch by patch: each prefix of the series is built, booted and tested as if it were all there is.

Whoever looks for a fault by bisection lands between two patches. Each prefix is checked out in
build/series/tree and built in build/series/krsi, one on top of the other, so that only what a patch
touches is compiled again. As sources and objects of the product lie in build/ in the same way,
ccache knows all that a prefix has in common with it. What is asked of one stands in prefix.py.

What was seen is kept in build/series/results.json by the contents of the prefix, its configuration
and the compilers: a run only does what is missing or has failed, and can be interrupted.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from harness import packages
from harness.checks.prefix import SERIES, Prefix, Result, Work
from harness.errors import BuildError, UsageError
from harness.kernel import build, fingerprint, kconfig, kmake
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.progress import say
from harness.trees import source, tree
from harness.trees.git import Repo

#: Free space wanted, in bytes.
ROOM = 4 * build.GIB
#: Seconds that the first prefix and a later one take, where nothing is known of it yet.
FIRST, LATER = 600.0, 240.0

_KCONFIG = r"^[[:space:]]*(menu)?config[[:space:]]+[A-Za-z0-9_]+"
_PART = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        patches: which prefixes, "6-12,20"; all when empty.
        sample: at most so many of those that are to be checked; None is no limit.
        minutes: how long it may take; None is no limit.
        kernel_src: KERNEL_SRC; None or empty for Debian's package.
        build: where everything is made.
    """

    patches: str = ""
    sample: int | None = None
    minutes: float | None = None
    kernel_src: str | None = None
    build: Path = ROOT / "build"

    @property
    def root(self) -> Path:
        """Where the prefixes are built: it is laid out as `build` itself."""
        return self.build / "series"

    @property
    def results(self) -> Path:
        """What was seen so far."""
        return self.root / "results.json"

    @property
    def paths(self) -> BuildPaths:
        """What is built, one prefix after the other."""
        return BuildPaths.of(SERIES.name, self.root)


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        chosen: the prefixes to check, in order.
        known: those that were well before.
        left: those that are to be checked another time.
    """

    chosen: tuple[Prefix, ...]
    known: tuple[Prefix, ...] = ()
    left: tuple[Prefix, ...] = ()


def numbers(text: str, count: int) -> tuple[int, ...]:
    """The numbers that "6-12,20" means, of 1 to `count`; all when it is empty.

    Raises:
        UsageError: it means none, or one that there is not.
    """
    found: set[int] = set()
    for part in filter(None, re.split(r"[,\s]+", text)):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= count:
            raise UsageError(f"PATCHES: {part!r} is none of 1 to {count}, as in 6-12,20.")
        found.update(range(first, last + 1))
    return tuple(sorted(found)) or tuple(range(1, count + 1))


def split(
    wanted: kconfig.Config, here: frozenset[str], whole: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What to ask a prefix for, and what it cannot know yet.

    Args:
        wanted: what the whole series is asked for.
        here: the options of the prefix.
        whole: the options of the whole series; what it does not know either stays, a mistake.

    Returns:
        The request, and the options that are dropped from it.
    """
    dropped = tuple(option for option in wanted if option not in here and option in whole)
    return {name: value for name, value in wanted.items() if name not in dropped}, dropped


def choose(
    prefixes: Sequence[Prefix],
    well: Callable[[Prefix], bool],
    *,
    seed: str,
    most: int | None = None,
) -> Plan:
    """Which prefixes to check.

    Those that were well are left out. Of the others, where they are too many, chance decides: the
    same for the same series, and others when it has changed.

    Args:
        prefixes: those that the user means.
        well: whether one was checked and found well.
        seed: names the series.
        most: how many can be checked.
    """
    known = tuple(each for each in prefixes if well(each))
    waiting = [each for each in prefixes if each not in known]

    def lot(prefix: Prefix) -> bytes:
        return hashlib.sha256(f"{seed} {prefix.number}".encode()).digest()

    drawn = sorted(waiting, key=lot)[: len(waiting) if most is None else most]
    chosen = tuple(each for each in waiting if each in drawn)
    return Plan(chosen, known, tuple(each for each in waiting if each not in drawn))


def fitting(minutes: float, spent: Iterable[float], *, fresh: bool) -> int:
    """How many prefixes fit into a time.

    Args:
        minutes: the time.
        spent: the seconds that prefixes took before.
        fresh: nothing is built yet.
    """
    known = sorted(spent)
    each = known[len(known) // 2] if known else LATER
    left = minutes * 60 - (max(FIRST, each) if fresh else each)
    return 0 if left < 0 else 1 + int(left / each)


def options(repo: Repo, commit: str) -> frozenset[str]:
    """The options that the Kconfig files of a commit know."""
    found = repo.out("grep", "-hoE", _KCONFIG, commit, "--", "*Kconfig*")
    return frozenset(f"CONFIG_{line.split()[-1]}" for line in found.splitlines())


def listed(repo: Repo, base: str, head: str) -> tuple[Prefix, ...]:
    """Every prefix of the commits after `base` up to `head`."""
    before = repo.out("rev-parse", f"{base}^{{tree}}")
    prefixes = []
    log = repo.out("log", "--reverse", "--format=%H %T %s", f"{base}..{head}")
    for number, line in enumerate(log.splitlines(), start=1):
        commit, contents, subject = line.split(" ", 2)
        names = repo.out("diff-tree", "-r", "--name-only", "--no-renames", "-z", before, contents)
        files = tuple(filter(None, names.split("\0")))
        key = fingerprint.of_words(before, contents)
        prefixes.append(Prefix(number, commit, subject, files, key))
        before = contents
    return tuple(prefixes)


def run(request: Request) -> bool:
    """Check the prefixes, say how each went, and return whether all that were checked are well.

    Raises:
        UsageError: the request is wrong, or work would be lost.
        InfraError: something the machine should have is missing, disk space included.
    """
    started = time.monotonic()
    needs = () if request.kernel_src else packages.BASE
    packages.ensure((*needs, *packages.KERNEL, *packages.VM), say)
    with build.exclusive(request.build, "series.lock"):
        build.require_room(request.build, ROOM)
        with build.exclusive(request.build, "sources.lock"):
            origin = source.locate(request.kernel_src)
            trees = tree.prepare(VARIANTS["krsi"], origin, say, build=request.build)
        if trees.tree.changes():
            say(f"{trees.tree.path}: what is not committed there is not checked")
        checker = Checker(request, trees, origin)
        plan = checker.plan()
        _announce(plan, request)
        failed: list[str] = []
        took = LATER
        for done, prefix in enumerate(plan.chosen):
            spent = time.monotonic() - started
            if request.minutes and done and spent + took > request.minutes * 60:
                say(f"no time is left for {len(plan.chosen) - done} of them")
                break
            say(f"[{done + 1}/{len(plan.chosen)}] {prefix}")
            result = checker.check(prefix)
            # The first one takes longest, and says nothing about the others.
            took = result.total if done else LATER
            say(_line(result))
            for fault in result.faults:
                say("    " + fault.replace("\n", "\n    "))
            if result.faults:
                failed.append(str(prefix.number))
        total = len(checker.prefixes)
        well = sum(map(checker.well, checker.prefixes))
    say(f"series-check: {well} of {total} prefixes are well" + _failures(failed))
    return not failed


def seen(request: Request, digest: str) -> tuple[tuple[Prefix, Result | None], ...]:
    """What was seen of each prefix; nothing if build/tree is not the series with this hash."""
    repo = Repo(request.build / "tree")
    state = tree.load(repo) if request.results.is_file() else None
    if state is None or state.series != digest or state.applied != repo.head:
        return ()
    checker = Checker(request, tree.Trees(state, repo, repo, developed=False), None)
    return tuple((each, checker.seen(each)) for each in checker.prefixes)


def _failures(failed: Sequence[str]) -> str:
    return f"; FAILED: {', '.join(failed)}" if failed else ""


def _announce(plan: Plan, request: Request) -> None:
    names = ", ".join(str(each.number) for each in plan.chosen) or "none"
    left = f"; {len(plan.left)} are left for another time" if plan.left else ""
    known = f"; {len(plan.known)} were well before" if plan.known else ""
    limit = f" in {request.minutes:g} minutes" if request.minutes else ""
    say(f"series-check: checking {names}{limit}{known}{left}")


def _line(result: Result) -> str:
    outcome = "FAILED" if result.faults else "ok"
    phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    about = [phases, f"{result.tests} verdicts of selftests" if result.tests else "no selftests"]
    if result.dropped:
        about.append(f"has no {' '.join(result.dropped)}")
    return f"    {outcome}: {'; '.join(about)}"


class Checker:
    """Checks prefixes, one after the other, and remembers what it saw.

    Args:
        request: what was asked for.
        trees: the series' working tree; nothing is done to it.
        origin: where the base comes from; None if nothing will be checked, only looked up.
    """

    def __init__(self, request: Request, trees: tree.Trees, origin: source.Source | None) -> None:
        self.request = request
        self._trees = trees
        self._origin = origin
        self._base = trees.state.base
        self.prefixes = listed(trees.tree, self._base, trees.tree.head)
        self._results = _load(request.results)
        self._toolchain = build.toolchain()

    @cached_property
    def _wanted(self) -> dict[str, str]:
        return build.requested(VARIANTS["krsi"])

    @cached_property
    def _whole(self) -> frozenset[str]:
        return options(self._trees.tree, self._trees.tree.head)

    def key(self, prefix: Prefix) -> str:
        """What a result is kept by."""
        return fingerprint.of_words(
            prefix.contents, kconfig.render(self._wanted), *self._toolchain.values()
        )

    def seen(self, prefix: Prefix) -> Result | None:
        """What was seen of it; None if it was not checked."""
        return self._results.get(self.key(prefix))

    def well(self, prefix: Prefix) -> bool:
        """Whether it was checked and found well."""
        result = self.seen(prefix)
        return result is not None and not result.faults

    def plan(self) -> Plan:
        """What is to be done.

        Raises:
            UsageError: PATCHES means none.
        """
        wanted = numbers(self.request.patches, len(self.prefixes))
        meant = [self.prefixes[number - 1] for number in wanted]
        limits = [] if self.request.sample is None else [self.request.sample]
        if self.request.minutes is not None:
            fresh = not self.request.paths.vmlinux.exists()
            spent = (each.total for each in self._results.values() if not each.faults)
            limits.append(fitting(self.request.minutes, spent, fresh=fresh))
        seed = self._trees.tree.out("rev-parse", "HEAD^{tree}")
        return choose(meant, self.well, seed=seed, most=min(limits, default=None))

    def check(self, prefix: Prefix) -> Result:
        """Check one prefix and keep what was seen.

        Raises:
            UsageError: somebody has worked in build/series/tree.
            InfraError: the machine let us down; nothing is kept then.
        """
        result = Result(prefix.number, prefix.subject, prefix.commit)
        self._results.pop(self.key(prefix), None)
        one = Work(self._job(prefix), prefix, result, self._base_sources)
        wanted, dropped = split(self._wanted, options(self._trees.tree, prefix.commit), self._whole)
        result.dropped += dropped
        phases: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
            ("kernel", lambda: one.kernel(wanted)),
            ("warnings", lambda: one.warnings(wanted)),
            ("tools", one.tools),
            ("boot", lambda: one.boot(wanted)),
        )
        for name, phase in phases:
            started = time.monotonic()
            before = len(result.faults)
            try:
                result.faults += phase()
            except BuildError as error:
                result.faults.append(str(error))
            result.seconds[name] = round(time.monotonic() - started, 1)
            # New warnings are no reason not to look at the rest.
            if len(result.faults) > before and name != "warnings":
                break
        result.checked = datetime.now(UTC).isoformat(timespec="seconds")
        self._results[self.key(prefix)] = result
        _save(self.request.results, self._results)
        return result

    def _job(self, prefix: Prefix) -> build.Job:
        with build.exclusive(self.request.build, "sources.lock"):
            there, found = tree.linked(self._trees.tree, "series/tree", prefix.commit, say)
        if found is tree.Plan.LIES:
            raise UsageError(f"{there.path} was edited: only what is committed is checked.")
        return build.Job(
            build.Request(SERIES, self.request.kernel_src, self.request.root),
            self.request.paths,
            tree.Trees(self._trees.state, there, there, developed=False),
            self._toolchain,
        )

    def _base_sources(self) -> Path:
        if self._origin is None:
            raise UsageError("where the base comes from was not said.")
        with build.exclusive(self.request.build, "sources.lock"):
            peer = VARIANTS["upstream"]
            return tree.prepare(peer, self._origin, say, build=self.request.build).kernel.path


def _load(path: Path) -> dict[str, Result]:
    """What was seen before, by key."""
    kept: Mapping[str, object] = kmake.load(path)
    return {key: Result(**value) for key, value in kept.items() if isinstance(value, dict)}


def _save(path: Path, results: Mapping[str, Result]) -> None:
    content = {key: asdict(result) for key, result in results.items()}
    kmake.replace(path, (json.dumps(content, indent=2) + "\n").encode())
