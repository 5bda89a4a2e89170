"""``make check``: everything that can be said without building a kernel; ``make check-vm``.

Lint, types and unit tests of the harness; then the series: that it applies without fuzz, that the
views show what it creates, and that checkpatch.pl has nothing to say.

tests/vm/ is what needs a kernel: machines that are broken on purpose.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree as ET

from harness import packages, proc
from harness.checks import matrix
from harness.errors import KrsiError, UsageError
from harness.kernel import build, kmake
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.progress import say
from harness.run import suites
from harness.trees import export, series, source
from harness.trees.git import Repo

_SOURCES = ("harness", "ci", "clients", "tests", "run_tests.py", ".ci/tally.py")
#: Patches carry no sign-off until `make submit` adds the submitter's; the base has no history to
#: find commits in; and whether MAINTAINERS knows a new file is checked exactly, below.
SUBMITTED = (
    *("--strict", "--quiet", "--no-summary", "--terse", "--show-types"),
    "--ignore=UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES",
)
_CHECKPATCH = (*SUBMITTED, "--no-signoff")
_TIMEOUT = 600.0
VM_KERNEL = "krsi"


@dataclass(frozen=True)
class Step:
    """One thing that is checked.

    Attributes:
        name: what the user reads.
        run: says what is wrong, a line each; nothing when all is well.
    """

    name: str
    run: Callable[[], Sequence[str]]


@dataclass
class Tally:
    """How the steps went, the unit tests counted one by one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run(kernel_src: str | None, root: Path = ROOT) -> bool:
    """Check everything, say what is wrong, and return whether all is well.

    The numbers are left in build/check.json.

    Raises:
        InfraError: the base or a tool is missing.
        UsageError: KERNEL_SRC is no base.
    """
    needs = packages.CHECK if kernel_src else (*packages.BASE, *packages.CHECK)
    packages.ensure((*needs, *packages.SUBMIT), say)
    target = root / "build"
    numbers = target / "check.json"
    numbers.unlink(missing_ok=True)
    tally = Tally()
    for step in (*_harness_steps(), Step("configuration fragments", _fragments)):
        _take(step, tally)
    _unit_tests(target / "check-junit.xml", tally, "tests")
    with build.exclusive(target, "sources.lock"):
        origin = source.locate(kernel_src)
        repo = Repo(target / "tree")
        base = source.take(origin, repo, say)
        first, *steps = _series_steps(repo, base, root)
        if _take(first, tally) and _take(steps[0], tally):
            for step in steps[1:]:
                _take(step, tally)
    numbers.write_text(json.dumps(vars(tally)) + "\n", encoding="utf-8")
    say(f"check: {tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return tally.failed == 0


def run_vm(root: Path = ROOT, *, record: bool = False) -> bool:
    """Break real machines and return whether the harness has seen each for what it is.

    The numbers are left in build/check-vm.json, what the machines have said in build/check-vm/.

    Args:
        root: the project.
        record: let tests/golden/ be what is seen now.

    Raises:
        BuildError: there is no kernel to boot.
    """
    suites.built(VM_KERNEL, BuildPaths.of(VM_KERNEL))
    packages.ensure((*packages.KERNEL, *packages.VM), say)
    target = root / "build"
    numbers = target / "check-vm.json"
    numbers.unlink(missing_ok=True)
    tally = Tally()
    words = ("-m", "vm", f"--basetemp={target / 'check-vm'}", "tests/vm")
    _unit_tests(target / "check-vm-junit.xml", tally, *words, *(["--record"] if record else []))
    numbers.write_text(json.dumps(vars(tally)) + "\n", encoding="utf-8")
    say(f"check-vm: {tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    say(f"what the machines said: {target / 'check-vm'}")
    return tally.failed == 0


def label_faults(patches: Sequence[series.Patch]) -> tuple[str, ...]:
    """The patches whose [PATCH n/m] is not their place in the series."""
    count = len(patches)
    width = len(str(count))
    return tuple(
        f"kernel-patches/{patch.path.name}: says {patch.label or 'nothing'}, is {wanted}"
        for patch in patches
        if patch.label != (wanted := f"[PATCH {patch.number:0{width}}/{count}]")
    )


def checkpatch(
    repo: Repo, patches: Sequence[series.Patch], options: Sequence[str] = _CHECKPATCH
) -> tuple[str, ...]:
    """What the base's own checkpatch.pl --strict says of each patch."""
    # Its helper spdxcheck.py finds its modules in our environment.
    path = f"{sys.prefix}/bin:{packages.search_path()}"

    def judge(patch: series.Patch) -> list[str]:
        said = proc.run(
            ["perl", "scripts/checkpatch.pl", *options, patch.path.resolve()],
            cwd=repo.path,
            env={"LC_ALL": "C.UTF-8", "PATH": path},
            timeout=_TIMEOUT,
            check=None,
        )
        lines = (said.stdout + said.stderr).replace(f"{patch.path.parent.resolve()}/", "")
        complaints = [line for line in lines.splitlines() if line.strip()]
        if not said.ok and not complaints:
            complaints = [f"{patch.path.name}: checkpatch.pl {said.why}"]
        return complaints

    with ThreadPoolExecutor(kmake.jobs()) as pool:
        return tuple(line for lines in pool.map(judge, patches) for line in lines)


def read_allowed(path: Path) -> tuple[tuple[int, str, re.Pattern[str]], ...]:
    """The complaints of checkpatch.pl that are forgiven: line number, type, pattern.

    Raises:
        UsageError: a line is not a type and a pattern.
    """
    rules = []
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, _, pattern = line.strip().partition(" ")
        try:
            rules.append((number, kind, re.compile(pattern.strip())))
        except re.error as error:
            raise UsageError(f"{path.name}:{number}: {error}.") from error
        if not pattern.strip():
            raise UsageError(f"{path.name}:{number}: a type and a pattern are needed.")
    return tuple(rules)


def forgive(complaints: Sequence[str], allowed: Path) -> tuple[str, ...]:
    """Leave out the complaints that are allowed; a rule that forgives nothing is a complaint."""
    rules = read_allowed(allowed)
    used = set()
    left = []
    for line in complaints:
        hits = [n for n, kind, pattern in rules if f":{kind}:" in line and pattern.search(line)]
        used.update(hits)
        if not hits:
            left.append(line)
    idle = [f"{allowed.name}:{n}: forgives nothing" for n, _, _ in rules if n not in used]
    return (*left, *idle)


def unmaintained(maintainers: str, paths: Iterable[str]) -> tuple[str, ...]:
    """The files that no section of MAINTAINERS names, "THE REST" left aside.

    Args:
        maintainers: the contents of MAINTAINERS.
        paths: the files, at their kernel paths.
    """
    patterns = [
        line.removeprefix("F:").strip()
        for line in maintainers.splitlines()
        if line.startswith("F:")
    ]

    def known(path: str) -> bool:
        return any(
            path.startswith(pattern) or fnmatchcase(path, f"{pattern}*")
            if pattern.endswith("/")
            else pattern.count("/") == path.count("/") and fnmatchcase(path, pattern)
            for pattern in patterns
            if pattern not in ("*", "*/")
        )

    return tuple(path for path in paths if not known(path))


def _take(step: Step, tally: Tally) -> bool:
    """Run one step and say how it went."""
    started = time.monotonic()
    try:
        faults = step.run()
    except KrsiError as error:
        faults = (str(error),)
    verdict = "FAILED" if faults else "ok"
    say(f"{step.name:<44} {verdict:<6} {time.monotonic() - started:5.1f} s")
    for line in faults:
        say(f"    {line}")
    if faults:
        tally.failed += 1
    else:
        tally.passed += 1
    return not faults


def _harness_steps() -> tuple[Step, ...]:
    here = [name for name in _SOURCES if (ROOT / name).exists()]

    def tool(*words: str) -> Callable[[], Sequence[str]]:
        command = [sys.executable, "-m", *words]
        return lambda: _complaints(command)

    return (
        Step("ruff check", tool("ruff", "check", "--quiet", "--output-format=concise", *here)),
        Step("ruff format --check", tool("ruff", "format", "--check", "--quiet", "--diff", *here)),
        Step("mypy --strict", tool("mypy", "--no-error-summary", *here)),
    )


def _complaints(command: Sequence[str]) -> tuple[str, ...]:
    said = proc.run(command, cwd=ROOT, timeout=_TIMEOUT, check=None)
    if said.ok:
        return ()
    return tuple((said.stdout + said.stderr).strip().splitlines()) or (said.why,)


def _unit_tests(report: Path, tally: Tally, *words: str) -> None:
    """Run pytest in full view, and count what it counted."""
    report.unlink(missing_ok=True)
    pytest = (sys.executable, "-m", "pytest", "--quiet", f"--junitxml={report}")
    status = proc.interact([*pytest, *words], cwd=ROOT)
    if not report.is_file():
        say(f"pytest left no report (status {status})")
        tally.failed += 1
        return
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - pytest wrote it for us
    counts = {} if suite is None else suite.attrib
    failed = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
    skipped = int(counts.get("skipped", 0))
    tally.passed += int(counts.get("tests", 0)) - failed - skipped
    tally.skipped += skipped
    tally.failed += failed or (1 if status else 0)


def _fragments() -> Sequence[str]:
    for variant in VARIANTS.values():
        build.requested(variant)
    matrix.listed()
    return ()


def _series_steps(repo: Repo, base: str, root: Path) -> tuple[Step, ...]:
    """The steps on the series; the first two are what the others need."""
    folder = root / "kernel-patches"

    def numbers() -> Sequence[str]:
        return label_faults(series.read(folder))

    def applies() -> Sequence[str]:
        series.apply(repo, base, series.read(folder))
        return ()

    def removal() -> Sequence[str]:
        patches = series.read(folder)
        if patches:
            listed = series.removal_subjects(folder)
            series.count_removal(listed, tuple(patch.subject for patch in patches))
        return ()

    def in_step() -> Sequence[str]:
        tip = series.apply(repo, base, series.read(folder))
        return export.view_differences(repo, base, tip, root)

    def maintained() -> Sequence[str]:
        tip = series.apply(repo, base, series.read(folder))
        created = sorted(series.created(repo, base, tip))
        if not created:
            return ()
        text = repo.out("show", f"{tip}:MAINTAINERS")
        return [f"{path}: no section of MAINTAINERS has it" for path in unmaintained(text, created)]

    def style() -> Sequence[str]:
        said = checkpatch(repo, series.read(folder))
        return forgive(said, root / "policy/checkpatch-allow.txt")

    return (
        Step("patches are numbered", numbers),
        Step("patches apply in order, without fuzz", applies),
        Step("kernel-patches/removal is how they begin", removal),
        Step("views are what the series creates", in_step),
        Step("MAINTAINERS knows every new file", maintained),
        Step("checkpatch.pl --strict", style),
    )
