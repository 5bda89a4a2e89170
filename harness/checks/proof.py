"""docs/PROOF.md: what the runs of the series as it is have shown, suite by suite.

docs/proof.toml says which tests make up a suite and which bugs they found; figures come from the
results.json of runs, and from nowhere else. Reading and adding up are pure.
"""

import fnmatch
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import report
from harness.checks import prefixes
from harness.checks.prefix import Prefix
from harness.checks.prefix import Result as Seen
from harness.errors import INTERRUPTED, UsageError
from harness.kernel import kconfig
from harness.model import ROOT, Status
from harness.progress import say
from harness.report import Result, Results
from harness.report.text import one_line
from harness.trees import series
from harness.verdicts.splat import Splat

SUITES = ROOT / "docs/proof.toml"
PAGE = ROOT / "docs/PROOF.md"
PATCHES = ROOT / "kernel-patches"

#: What a test prints that repeats something, by lsm_test_count() or itself.
_ROUNDS = re.compile(r"^(?:\w+: )?rounds: (\d+)$")
#: The kernel's own checkers, by the option that puts them in.
_CHECKERS = {
    "CONFIG_KASAN": "KASAN",
    "CONFIG_KCSAN": "KCSAN",
    "CONFIG_PROVE_LOCKING": "lockdep",
    "CONFIG_PROVE_RCU": "PROVE_RCU",
    "CONFIG_DEBUG_ATOMIC_SLEEP": "ATOMIC_SLEEP",
    "CONFIG_DEBUG_LIST": "DEBUG_LIST",
    "CONFIG_DEBUG_OBJECTS": "DEBUG_OBJECTS",
    "CONFIG_DEBUG_KMEMLEAK": "kmemleak",
    "CONFIG_FAILSLAB": "failslab",
}
_LEAK = "leak"
#: What proves nothing and is no failure either: a list in policy/ has the reason of the second.
_LEFT_OUT = (Status.SKIP, Status.XFAIL)
_LEGEND = """\
A test that counts no rounds of its own is one round in each run. Failures are tests that failed,
crashed, hung or left no result; splats are what the kernel complained of while a test ran; leaks
are what kmemleak found."""
_PATCHWISE = """\
Each prefix of the series for itself, as `make series-check` builds it: the kernel links without a
warning, W=1 says nothing about the files of the last patch that it does not say of the base, the
machine boots without a splat, with our module there if the prefix has one, and the selftests that
it brings pass."""
_MADE = "Made by `make proof` from the results of runs, and from docs/proof.toml."


@dataclass(frozen=True)
class Suite:
    """Tests that try to show one thing.

    Attributes:
        name: as the project speaks of it.
        what: what the tests would catch.
        tests: NAME or NAME/SUBTEST, or shell patterns of either.
    """

    name: str
    what: str
    tests: tuple[str, ...]

    def has(self, item: str) -> bool:
        """Whether the result called `item` belongs here. A test stands for its subtests."""
        test = item.partition("/")[0]
        return any(fnmatch.fnmatchcase(item if "/" in name else test, name) for name in self.tests)


@dataclass(frozen=True)
class Bug:
    """What a suite or a checker found in the series.

    Attributes:
        what: went wrong, and when.
        found: by which test or checker.
        patch: subject of the patch that was mended.
    """

    what: str
    found: str
    patch: str


@dataclass(frozen=True)
class Plan:
    """The content of docs/proof.toml."""

    suites: tuple[Suite, ...]
    bugs: tuple[Bug, ...]


@dataclass(frozen=True)
class Run:
    """One kernel in one results.json.

    Attributes:
        kernel: the variant.
        cpus: how many the machine had.
        items: what became of each test.
        strays: splats outside of any test.
    """

    kernel: str
    cpus: int
    items: tuple[Result, ...]
    strays: tuple[Splat, ...]


@dataclass
class Row:
    """What runs on one kernel have shown of one suite.

    Attributes:
        rounds: how often something was done, all runs together; a test that counts none is one.
        cpus: of the machines.
    """

    passed: int = 0
    skipped: int = 0
    failures: int = 0
    splats: int = 0
    leaks: int = 0
    rounds: int = 0
    cpus: set[int] = field(default_factory=set)

    def add(self, item: Result, cpus: int) -> None:
        """Count one result."""
        kinds = [found.kind for found in item.splats]
        self.leaks += kinds.count(_LEAK)
        self.splats += len(kinds) - kinds.count(_LEAK)
        self.cpus.add(cpus)
        if item.status in _LEFT_OUT:
            self.skipped += 1
            return
        self.passed += item.status is Status.PASS
        self.failures += item.status is not Status.PASS
        self.rounds += rounds(item.diagnostics)


def write(files: Sequence[Path] | None) -> None:
    """Make docs/PROOF.md from results.json files; by default from those below build/reports/.

    Raises:
        UsageError: docs/proof.toml or a file is wrong, or no run is of the series as it is.
    """
    plan = read_plan(SUITES.read_text("utf-8"))
    patches = series.read(PATCHES)
    known = {patch.subject for patch in patches}
    for bug in plan.bugs:
        if bug.patch not in known:
            raise UsageError(f"{SUITES}: no patch of the series is called '{bug.patch}'")
    digest = series.digest(patches)
    runs: list[Run] = []
    for path in files or sorted(report.REPORTS.glob("2*/results.json")):
        try:
            found = report.load(path)
        except UsageError as error:
            if files:
                raise
            say(f"{error} It is not counted.")
            continue
        if found.exit_code == INTERRUPTED:
            # What it did not reach has not failed.
            say(f"{path}: not counted: it was interrupted")
            continue
        used, other = runs_of(found, digest)
        runs += used
        if other:
            say(f"{path}: {', '.join(other)} not counted: another series, or one being edited")
    if not runs:
        raise UsageError("no results.json is of the series as it is: run ./run_tests.py first")
    patchwise = prefixes.seen(prefixes.Request(), digest)
    PAGE.write_text(page(plan, runs, digest, patchwise), "utf-8")
    say(f"{PAGE.relative_to(ROOT)}: {len(runs)} runs")


def read_plan(text: str) -> Plan:
    """The content of docs/proof.toml. Pure. Raises UsageError when it is not what it should be."""
    try:
        content = tomllib.loads(text)
        suites = tuple(
            Suite(entry["name"], entry["what"], tuple(entry["tests"])) for entry in content["suite"]
        )
        bugs = tuple(
            Bug(entry["what"], entry["found"], entry["patch"]) for entry in content.get("bug", ())
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"docs/proof.toml cannot be read: {error}") from error
    return Plan(suites, bugs)


def runs_of(found: Results, digest: str) -> tuple[list[Run], list[str]]:
    """The runs in a results.json that are of the series with this hash, and the other kernels."""
    used, other = [], []
    for kernel in found.kernels:
        if not kernel.is_of(digest):
            other.append(kernel.variant)
            continue
        items = _parts(found.of(kernel.variant))
        used.append(Run(kernel.variant, found.cpus, items, kernel.strays))
    return used, other


def _parts(items: Sequence[Result]) -> tuple[Result, ...]:
    """The items, but for tests that are well and have subtests: those are counted themselves."""
    tests = {item.test for item in items if "/" in item.name}
    well = (Status.PASS, Status.SKIP)
    return tuple(item for item in items if item.name not in tests or item.status not in well)


def rounds(diagnostics: Iterable[str]) -> int:
    """How often a test did what it repeats, by what it printed; 1 if it says nothing. Pure."""
    said = [int(match[1]) for line in diagnostics if (match := _ROUNDS.match(line.strip()))]
    return sum(said) or 1


def rows(suite: Suite, runs: Iterable[Run]) -> dict[str, Row]:
    """What the runs have shown of one suite, by kernel. Pure."""
    found: dict[str, Row] = {}
    for run in runs:
        for item in run.items:
            if suite.has(item.name):
                found.setdefault(run.kernel, Row()).add(item, run.cpus)
    return found


def checkers(kernel: str) -> str:
    """Which of the kernel's own checkers a variant has, by its configuration."""
    path = ROOT / "configs" / f"{kernel}.config"
    options = kconfig.read(path) if path.exists() else {}
    return ", ".join(name for option, name in _CHECKERS.items() if options.get(option) == "y")


Patchwise = Sequence[tuple[Prefix, Seen | None]]
"""Each prefix of the series, and what was seen of it."""


def page(plan: Plan, runs: Sequence[Run], digest: str, patchwise: Patchwise = ()) -> str:
    """The content of docs/PROOF.md."""
    kernels = list(dict.fromkeys(run.kernel for run in runs))
    parts = [
        "# What has been proven, and how",
        f"{_MADE}\nSeries: `{digest}` (the hash of its patches), as it lies in kernel-patches/.",
        "## Suites",
        _LEGEND,
        _table(_SUITE_HEAD, _suite_lines(plan, runs)),
        "## Kernels",
        _table(_KERNEL_HEAD, [_kernel_line(kernel, runs) for kernel in kernels]),
        "## Patch by patch",
        _PATCHWISE,
        _count(patchwise),
        *([_table(_PREFIX_HEAD, list(map(_prefix_line, patchwise)))] if patchwise else []),
        "## What each suite would catch",
        _table(("suite", "what", "tests"), [_what(suite) for suite in plan.suites]),
        "## What was skipped, or may fail",
        _table(("kernel", "test", "why"), _skips(runs)),
        "## Bugs found on the way",
        "Each was mended in the patch where it belongs.",
        _table(("what", "found by", "patch"), [(b.what, b.found, b.patch) for b in plan.bugs]),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


_SUITE_HEAD = (
    "suite",
    "kernel",
    "vCPUs",
    "rounds",
    "passed",
    "skipped",
    "failures",
    "splats",
    "leaks",
)
_KERNEL_HEAD = (
    *("kernel", "runs", "passed", "skipped", "failures", "splats in tests", "and between them"),
    *("leaks", "checkers"),
)
_PREFIX_HEAD = ("patch", "subject", "kernel", "verdicts of selftests", "outcome")


def _suite_lines(plan: Plan, runs: Sequence[Run]) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = []
    for suite in plan.suites:
        found = rows(suite, runs)
        if not any(row.passed or row.failures for row in found.values()):
            lines.append((suite.name, "**not run**", *[""] * (len(_SUITE_HEAD) - 2)))
            continue
        for kernel, row in found.items():
            cpus = ", ".join(map(str, sorted(row.cpus)))
            leaks = str(row.leaks) if "kmemleak" in checkers(kernel) else "not looked for"
            figures = (row.rounds, row.passed, row.skipped, row.failures, row.splats)
            lines.append((suite.name, kernel, cpus, *map(_thousands, figures), leaks))
    return lines


def _kernel_line(kernel: str, runs: Sequence[Run]) -> Sequence[str]:
    mine = [run for run in runs if run.kernel == kernel]
    total = rows(Suite("all", "", ("*", "*/*")), mine).get(kernel, Row())
    kinds = [found.kind for run in mine for found in run.strays]
    found = kinds.count(_LEAK) + total.leaks
    leaks = str(found) if "kmemleak" in checkers(kernel) else "not looked for"
    figures = (len(mine), total.passed, total.skipped, total.failures, total.splats)
    between = str(len(kinds) - kinds.count(_LEAK))
    return (kernel, *map(_thousands, figures), between, leaks, checkers(kernel) or "none")


def _count(patchwise: Patchwise) -> str:
    """How many prefixes were seen to be well, in a sentence."""
    well = sum(result is not None and not result.faults for _, result in patchwise)
    return f"{well} of {len(patchwise)} prefixes are well." if patchwise else "**Not run.**"


def _prefix_line(found: tuple[Prefix, Seen | None]) -> Sequence[str]:
    prefix, result = found
    about = (str(prefix.number), prefix.subject)
    if result is None:
        return (*about, "", "", "not checked")
    kernel = "built" if prefix.kernel else "as before"
    outcome = f"FAILED: {one_line(result.faults[0])}" if result.faults else "well"
    return (*about, kernel, str(result.tests or "none yet"), outcome)


def _what(suite: Suite) -> Sequence[str]:
    return (suite.name, suite.what, ", ".join(f"`{name}`" for name in suite.tests))


def _skips(runs: Sequence[Run]) -> list[Sequence[str]]:
    """Each skip once, with its reason, unless another run of the kernel has passed the test."""
    items = [(run.kernel, item) for run in runs for item in run.items]
    passed = {(kernel, item.name) for kernel, item in items if item.status is Status.PASS}
    skipped = {
        (kernel, item.name, item.message)
        for kernel, item in items
        if item.status in _LEFT_OUT and (kernel, item.name) not in passed
    }
    return [*sorted(skipped)]


def _thousands(number: int) -> str:
    return f"{number:,}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a sentence if it would be empty."""
    if not lines:
        return "None."
    return "\n".join(
        f"| {' | '.join(word.replace('|', '/') for word in line)} |"
        for line in (head, ["---"] * len(head), *lines)
    )
