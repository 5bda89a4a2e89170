"""./run_tests.py with one more suite, `broken`: tests that do what no test should do.

    front.py FOLDER BOOT_DEADLINE [ARGUMENT…]

The report goes below FOLDER, and with it what each run left as evidence: golden/TEST-N/. The last
line says how much memory we needed.
"""

import json
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cases
from harness import model
from harness.errors import KrsiError
from harness.machine import vm
from harness.model import ROOT, BuildPaths
from harness.run import runtests, suites, testrun, upstream_client
from harness.run.session import Program, VariantSession
from harness.run.testrun import TestRun
from harness.verdicts.verdict import Evidence

KERNEL = "krsi"
# The machine's serial port takes 200 kB a second.
LOG_LIMIT = 1 << 20


class Broken(suites.Own):
    """The tests of cases.sh."""

    name = "broken"

    def __init__(self) -> None:
        """Nothing is to be looked for."""
        self.tests = cases.TESTS

    def programs(self, variants: Sequence[str]) -> dict[str, Program]:
        """The shell script, and the module that breaks a kernel."""
        programs = {}
        for variant in variants:
            paths = suites.built(variant, BuildPaths.of(variant))
            job = upstream_client.job_of(
                model.VARIANTS[variant], ROOT / "build", ROOT / "build/tree"
            )
            module = upstream_client.module(job, "broken", cases.HERE / "module", "broken")
            command = ("sh", str(cases.HERE / "runner.sh"), str(module))
            programs[variant] = Program(command, paths.bin)
        return programs


def record(folder: Path, run: TestRun, evidence: Evidence) -> None:
    """Keep what a run has left, as `harness.verdicts.verdict` gets to see it."""
    place = folder / f"{run.test.name}-{len(list(folder.glob(run.test.name + '-*'))) + 1}"
    place.mkdir(parents=True)
    (place / "console.log").write_text(evidence.log, "utf-8")
    if run.report.is_file():
        shutil.copy(run.report, place / "report.ktap")
    facts = {
        "test": run.test.name,
        "subtests": run.test.subtests,
        "wanted": [item.subtest for item in evidence.wanted],
        "ending": evidence.ending.name,
        "status": evidence.status,
        "limit": evidence.limit,
    }
    (place / "run.json").write_text(json.dumps(facts), "utf-8")


def main(argv: Sequence[str]) -> int:
    """Run. Returns the exit status of ./run_tests.py."""
    folder = Path(argv[0])
    suites.SUITES["broken"] = Broken
    model.VARIANTS[KERNEL] = replace(model.VARIANTS[KERNEL], memory="512M")
    testrun._RUNNER_MARGIN = 3.0
    testrun.LOG_LIMIT = LOG_LIMIT
    generous = vm.Deadlines.for_accel
    deadlines = lambda *args: replace(generous(*args), boot=float(argv[1]))  # noqa: E731
    vm.Deadlines.for_accel = deadlines  # type: ignore[method-assign]
    conclude = VariantSession._conclude

    def conclude_and_record(self: VariantSession, run: TestRun, evidence: Evidence) -> None:
        record(folder / "golden", run, evidence)
        conclude(self, run, evidence)

    VariantSession._conclude = conclude_and_record  # type: ignore[method-assign]
    try:
        return runtests.main(["--suite", "broken", f"--reports={folder}", *argv[2:]])
    except KrsiError as error:
        print(f"front.py: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        print(f"peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KiB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
