"""`make kunit`: the KUnit tests of security/bpf/, built, booted and read by the kernel's own tool.

They run while a small kernel boots in QEMU and need no user space. The tool tells passed from
failed; what the kernel's log says beside that is read by the rules that hold for every test.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import packages, proc, report
from harness.errors import BuildError, InfraError
from harness.kernel import build, kconfig, kmake
from harness.model import ROOT, VARIANTS, Status
from harness.progress import say, watching
from harness.run.selftests import Item
from harness.trees import source, tree
from harness.verdicts import splat
from harness.verdicts.verdict import Verdict

NAME = "kunit"
FOLDER = "security/bpf"
CONFIG = ROOT / "configs/kunit.config"
POLICY = ROOT / "policy"
#: Seconds for the boot with every test in it; a quiet machine takes 20.
TEST_SECONDS = 300
_BUILD_SECONDS = 3600.0
#: QEMU with two emulating threads oopses while a kernel patches its text: one thread for all CPUs.
_CPUS = 2
_QEMU = ("-accel tcg,thread=single", f"-smp {_CPUS}")
_STATUS = {"PASS": Status.PASS, "SKIP": Status.SKIP, "FAIL": Status.FAIL, "ERROR": Status.CRASH}


@dataclass(frozen=True)
class Outcome:
    """What one boot has shown.

    Attributes:
        verdicts: one for each test case, in the order in which they ran.
        splats: what the kernel said besides.
    """

    verdicts: Mapping[Item, Verdict]
    splats: tuple[splat.Splat, ...]

    @property
    def good(self) -> bool:
        """Whether there are tests, each of them well, and nothing was said besides."""
        fine = all(v.status in (Status.PASS, Status.SKIP) for v in self.verdicts.values())
        return bool(self.verdicts) and fine and not self.splats

    def counts(self) -> dict[str, int]:
        """How many passed, failed and were skipped; a splat is a failure of its own."""
        states = [verdict.status for verdict in self.verdicts.values()]
        passed, skipped = states.count(Status.PASS), states.count(Status.SKIP)
        failed = len(states) - passed - skipped + len(self.splats)
        if not self.verdicts:
            failed += 1
        return {"passed": passed, "failed": failed, "skipped": skipped}


def run(kernel_src: str | None, folder: Path = ROOT / "build") -> bool:
    """Build and run the tests; leave a report as run_tests.py does. Returns whether all is well.

    Raises:
        BuildError: the kernel did not build, or has not the options that it should.
        InfraError: a tool is missing, or the tool left no result.
    """
    packages.ensure((*packages.BASE, *packages.KERNEL, *packages.VM), say)
    build.require_room(folder, build.ROOM_AGAIN)
    began, started = time.monotonic(), datetime.now(UTC)
    with build.exclusive(folder, "kunit.lock"):
        with build.exclusive(folder, "sources.lock"):
            origin = source.locate(kernel_src)
            trees = tree.prepare(VARIANTS["krsi"], origin, say, build=folder)
        out = folder / NAME
        _make(trees.kernel.path, out)
        outcome, console = _boot(trees.kernel.path, out)
        kmake.save(folder / "kunit.json", outcome.counts())
        place = _report(outcome, console, trees, started, time.monotonic() - began)
    _print(outcome)
    say(f"{NAME}: {', '.join(f'{n} {what}' for what, n in outcome.counts().items())}; {place}")
    return outcome.good


def options(text: str) -> list[str]:
    """The tool's words for the lines of a configuration fragment. Pure."""
    return [
        f"--kconfig_add={name}={value}" for name, value in kconfig.parse(text, str(CONFIG)).items()
    ]


def command(tree_path: Path, out: Path, verb: str) -> list[str]:
    """The tool, told where to build and with what. Pure but for the number of processors."""
    tool = [sys.executable, "tools/testing/kunit/kunit.py", verb, f"--build_dir={out}"]
    if verb == "exec":
        return [*tool, f"--timeout={TEST_SECONDS}", "--arch=x86_64", *map(_qemu, _QEMU)]
    maps = f"-ffile-prefix-map={tree_path}/= -ffile-prefix-map={out}=."
    made = (f"CC={kmake.ccache()}gcc", f"HOSTCC={kmake.ccache()}gcc", f"KCFLAGS={maps}")
    return [
        *(*tool, "--arch=x86_64", f"--kunitconfig={FOLDER}", *options(CONFIG.read_text("utf-8"))),
        *(f"--make_options={word}" for word in made),
        *((f"--jobs={kmake.jobs()}",) if verb == "build" else ()),
    ]


def _qemu(words: str) -> str:
    return f"--qemu_args={words}"


def read(printed: str, log: str, policy: splat.Policy) -> Outcome:
    """What the tool's JSON and the kernel's log say. Pure.

    Raises:
        InfraError: it is not the tool's JSON.
    """
    try:
        verdicts = dict(_cases(json.loads(printed), ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InfraError(f"kunit.py left no result that can be read: {error}") from error
    return Outcome(verdicts, splat.scan(log, policy))


def _cases(group: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[Item, Verdict]]:
    for case in group["test_cases"]:
        status = _STATUS.get(case["status"], Status.FAIL)
        message = "" if status in (Status.PASS, Status.SKIP) else "see the kernel's log"
        yield Item("/".join(above) or NAME, str(case["name"])), Verdict(status, message)
    for below in group["sub_groups"]:
        yield from _cases(below, (*above, str(below["name"])))


def _make(sources: Path, out: Path) -> None:
    """Configure and build."""
    log = kmake.fresh(out.parent / f"{NAME}-build.log")
    out.mkdir(parents=True, exist_ok=True)
    with watching(f"{NAME}: kernel", log) as tick:
        for verb in ("config", "build"):
            done = proc.run(
                command(sources, out, verb),
                cwd=sources,
                env=kmake.environment(out.parent),
                log=log,
                timeout=_BUILD_SECONDS,
                tick=tick,
                check=None,
            )
            if not done.ok:
                text = log.read_text("utf-8", errors="replace")
                why = kmake.first_errors(text) or _last_words(text) or (done.why,)
                raise BuildError(f"the kernel for KUnit (log: {log}):\n  " + "\n  ".join(why))


def _last_words(log: str) -> tuple[str, ...]:
    """The last thing that the tool said, but for how long it took. Pure."""
    said = [line for line in log.strip().splitlines() if "Elapsed time:" not in line]
    return tuple(said[-1:])


def _boot(sources: Path, out: Path) -> tuple[Outcome, Path]:
    """Boot and read."""
    result, console = out / "result.json", out / "test.log"
    result.unlink(missing_ok=True)
    console.unlink(missing_ok=True)
    log = kmake.fresh(out.parent / f"{NAME}-run.log")
    say(f"{NAME}: booting")
    proc.run(
        [*command(sources, out, "exec"), f"--json={result}"],
        cwd=sources,
        env=kmake.environment(out.parent),
        log=log,
        timeout=TEST_SECONDS + 60,
        check=None,
    )
    if not result.exists() or not console.exists():
        raise InfraError(f"kunit.py left no result: {log}")
    text = console.read_text("utf-8", errors="replace")
    return read(result.read_text("utf-8"), text, splat.load_policy(POLICY)), console


def _report(
    outcome: Outcome, console: Path, trees: tree.Trees, started: datetime, seconds: float
) -> Path:
    """Leave results and the console where those of other runs lie."""
    folder = report.new_folder()
    kept = folder / f"console-{NAME}.log"
    kept.write_bytes(console.read_bytes())
    record = report.VariantRecord(
        name=NAME,
        release=trees.state.version,
        error="" if outcome.verdicts else "no test ran",
        notes=(),
        consoles=(kept,),
        verdicts=outcome.verdicts,
        strays=outcome.splats,
        manifest={
            "series": {
                "hash": trees.state.series,
                "head": trees.kernel.head,
                "edited": bool(trees.kernel.changes()),
                "exported": not trees.developed,
            }
        },
    )
    found = report.collect(
        [record],
        suite=NAME,
        outcomes={},
        accel="tcg",
        cpus=_CPUS,
        started=started,
        seconds=seconds,
        exit_code=0 if outcome.good else 1,
    )
    report.leave(folder, found)
    return kept


def _print(outcome: Outcome) -> None:
    for item, verdict in outcome.verdicts.items():
        say(f"{verdict.status.value:5} {item.name}")
    for found in outcome.splats:
        say(f"{found.kind}: {found.title}")
        for line in found.lines:
            say(f"    {line}")
