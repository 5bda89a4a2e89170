"""Real machines that panic, hang, flood, lie and vanish: each ends as cases.py says.

Every test reads what one of four runs of ./run_tests.py has left (see front.py): one in which
tests break everything but the boot, one in which they hang, one in which machines do not come up,
and one without a fault. Only where something hangs is a deadline short: others are on a busy host.
"""

import re
import shutil
from pathlib import Path

import pytest

import real
import replay
from cases import CASES, HANGING, UNBOOTABLE, WHOLE
from harness.model import ROOT, Status
from real import Run

pytestmark = pytest.mark.vm

#: KiB. Resolving stack traces takes most of it; one log of 100 MB would double it.
_ENOUGH = 500_000
_BY_CHANCE = [
    f"{name}/{subtest}"
    for name, case in CASES.items()
    for subtest, expected in case.expected.items()
    if isinstance(expected, tuple)
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All that a machine can do once it has come up."""
    names = [name for name in CASES if name not in (*UNBOOTABLE, *HANGING)]
    return real.broken(tmp_path_factory.mktemp("broken"), *names)


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What has to be ended by us."""
    return real.broken(tmp_path_factory.mktemp("hanging"), *HANGING, test=20)


@pytest.fixture(scope="module")
def unbootable(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two that do not come up, and one that does."""
    return real.broken(tmp_path_factory.mktemp("unbootable"), *UNBOOTABLE, "bystander", boot=40)


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nothing is broken."""
    return real.broken(tmp_path_factory.mktemp("fine"), "bystander")


def check(case: str, found: Run) -> None:
    """Every verdict is the expected one, and says why."""
    for subtest, expected in CASES[case].expected.items():
        item = found.items[f"{case}/{subtest}" if subtest else case]
        allowed = expected if isinstance(expected, tuple) else (expected,)
        assert item.status in allowed, item
    assert CASES[case].message in found.items[case].message


@pytest.mark.parametrize("case", [name for name in CASES if name not in (*UNBOOTABLE, *HANGING)])
def test_outcome(case: str, broken: Run) -> None:
    check(case, broken)


@pytest.mark.parametrize("case", HANGING)
def test_outcome_without_an_end(case: str, hanging: Run) -> None:
    check(case, hanging)


@pytest.mark.parametrize("case", [*UNBOOTABLE, "bystander"])
def test_outcome_without_a_boot(case: str, unbootable: Run) -> None:
    check(case, unbootable)


def test_exit_status(broken: Run, hanging: Run, unbootable: Run, fine: Run) -> None:
    codes = (fine.code, broken.code, hanging.code, unbootable.code)
    assert codes == (0, 1, 1, 4)
    for each in broken, hanging, unbootable, fine:
        assert each.results.exit_code == each.code


def test_an_oops_after_its_test_has_passed_is_not_lost(broken: Run) -> None:
    late = broken.items["late"]
    charged = [
        *broken.results.kernels[0].strays,
        *broken.items["innocent"].splats,
        *broken.items["innocent/ok"].splats,
    ]
    assert late.status is Status.PASS
    assert any("NULL pointer" in each.title for each in charged)


def test_nothing_but_what_is_broken_is_charged(fine: Run) -> None:
    assert fine.results.kernels[0].strays == ()
    assert fine.results.kernels[0].error == ""


def test_logs_are_kept_and_named(broken: Run, hanging: Run, unbootable: Run) -> None:
    for case in "panic", "hang", "hardhang", "flood", "reboot":
        found = hanging if case in HANGING else broken
        (path,) = {
            line.partition("the kernel's log: ")[2]
            for name, item in found.items.items()
            if name.startswith(f"{case}/")
            for line in item.diagnostics
            if "the kernel's log: " in line
        }
        assert Path(path).stat().st_size
        assert path in found.output
    assert all((unbootable.folder / name).is_file() for name in unbootable.consoles)
    for name in unbootable.consoles[:2]:
        assert f"see {unbootable.folder / name}" in unbootable.output


def test_each_machine_that_died_was_replaced(broken: Run, hanging: Run) -> None:
    """Panic, flood, lack of memory, reboot and oops; and two that hang."""
    for found, count in (broken, 6), (hanging, 3):
        assert len(found.consoles) == count


def test_no_order_to_a_terminal_gets_through(broken: Run) -> None:
    for text in broken.output, (broken.folder / "junit.xml").read_text("utf-8"):
        assert "\x1b" not in text
        assert "\x07" not in text


def test_memory_stays_bounded(broken: Run) -> None:
    assert broken.peak < _ENOUGH


def test_what_was_recorded_leads_to_the_same_verdicts(broken: Run, hanging: Run) -> None:
    """A verdict on a subtest never changes with what comes after it."""
    for found in broken, hanging:
        for folder in sorted(found.golden.iterdir()):
            after = replay.verdicts(replay.evidence(folder))
            for name, (status, _) in after["verdicts"].items():
                if "/" in name and name not in (*after["continued"], *_BY_CHANCE):
                    assert found.items[name].status.value == status, folder


def test_record(broken: Run, hanging: Run, unbootable: Run, pytestconfig: pytest.Config) -> None:
    """Let tests/golden/ be what has been seen today."""
    if not pytestconfig.getoption("--record"):
        pytest.skip("only with --record")
    shutil.rmtree(replay.GOLDEN, ignore_errors=True)
    for found in broken, hanging:
        names = {str(ROOT): "/src", str(found.golden.parent): "/reports"}
        for folder in sorted(found.golden.iterdir()):
            replay.copy_run(folder, replay.GOLDEN / folder.name, names)
    for case, console in zip(UNBOOTABLE, unbootable.consoles, strict=False):
        replay.copy_boot(unbootable.folder / console, replay.GOLDEN / case)


def test_the_table_is_whole() -> None:
    """Every function of cases.sh has its verdict."""
    text = (Path(__file__).with_name("cases.sh")).read_text("utf-8")
    functions = set(re.findall(r"^([a-z]+)__([a-z]+)\(\)", text, re.MULTILINE))
    listed = {(name, sub) for name, case in CASES.items() for sub in case.expected if sub != WHOLE}
    assert functions == listed
