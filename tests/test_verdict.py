"""From evidence to verdicts: what fails closed."""

from datetime import date

import pytest

from harness.errors import UsageError
from harness.model import ROOT, Status
from harness.run.selftests import Item, Selftest
from harness.verdicts import ktap, splat, verdict
from harness.verdicts.verdict import Ending, Evidence, KnownFailure, Verdict

TEST = Selftest("lsm_x", ("a", "b", "c"), ROOT / "lsm_x.c")
A, B, C, WHOLE = TEST.items
POLICY = splat.load_policy(ROOT / "policy")
LOG = "krsi: begin lsm_x\nlsm_tests: lsm_x\n"
END = "krsi: end lsm_x\n"


def log_of(*names: str, extra: dict[str, str] | None = None, end: str = END) -> str:
    return (
        LOG
        + "".join(f"lsm_tests: lsm_x/{name}\n{(extra or {}).get(name, '')}" for name in names)
        + end
    )


def report_of(*lines: str, last: str = "ok 1 lsm_x") -> str:
    body = "".join(f"    {line}\n" for line in lines)
    count = sum(line.startswith(("ok", "not ok")) for line in lines)
    head = "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: lsm_x\n"
    return f"{head}{body}" + (f"    1..{count}\n{last}\n" if last else "")


def evidence(
    report: str,
    log: str,
    *,
    ending: Ending = Ending.EXITED,
    status: int | None = 0,
    wanted: tuple[Item, ...] = TEST.items,
) -> Evidence:
    return Evidence(
        test=TEST,
        wanted=wanted,
        report=ktap.parse(report),
        log=log,
        splats=splat.scan(log, POLICY, TEST.name),
        ending=ending,
        status=status,
        limit=60,
    )


ALL = report_of("ok 1 a", "ok 2 b", "ok 3 c")


def test_everything_passed() -> None:
    found = evidence(ALL, log_of("a", "b", "c"))
    assert [verdict.of_subtest(found, item).status for item in (A, B, C)] == [Status.PASS] * 3
    assert verdict.of_test([found]).status is Status.PASS


def test_nothing_reported_is_a_miss() -> None:
    found = evidence("", LOG, status=139)
    assert verdict.of_subtest(found, A).status is Status.MISS
    assert verdict.of_test([found]).status is Status.MISS
    assert "139" in verdict.of_test([found]).message


def test_a_failed_subtest_fails_the_test_by_name() -> None:
    report = report_of("ok 1 a", "# t.c:1: f:FAIL:x", "not ok 2 b", "ok 3 c", last="not ok 1 lsm_x")
    found = evidence(report, log_of("a", "b", "c"), status=1)
    assert verdict.of_subtest(found, B) == Verdict(
        Status.FAIL, "t.c:1: f:FAIL:x", ("t.c:1: f:FAIL:x",)
    )
    assert verdict.of_test([found]).message == "failed: b"
    assert verdict.failed_subtests([found]) == ("b",)


@pytest.mark.parametrize(
    ("report", "log", "status", "complaint"),
    [
        (report_of("ok 1 a", "ok 2 c"), log_of("a", "c"), 0, "'b' was not reported"),
        (
            report_of("ok 1 a", "ok 2 b", "ok 3 c", "ok 4 new"),
            log_of("a", "b", "c"),
            0,
            "unexpected subtest 'new'",
        ),
        (ALL, log_of("a", "b", "c"), 1, "exit status is 1"),
        (ALL, log_of("a", "b", "c", end=""), 0, "does not show the end"),
        (ALL.replace("1..1\n", "", 1), log_of("a", "b", "c"), 0, "plan"),
        (ALL + "ok 2 lsm_y\n", log_of("a", "b", "c"), 0, "unexpected test 'lsm_y'"),
    ],
)
def test_a_success_that_is_contradicted_fails(
    report: str, log: str, status: int, complaint: str
) -> None:
    found = verdict.of_test([evidence(report, log, status=status)])
    assert found.status is Status.FAIL
    assert complaint in found.message


def test_a_splat_fails_the_subtest_during_which_it_appeared() -> None:
    found = evidence(ALL, log_of("a", "b", "c", extra={"b": "WARNING: x\n"}))
    assert verdict.of_subtest(found, A).status is Status.PASS
    assert verdict.of_subtest(found, B).status is Status.SPLAT
    assert verdict.of_subtest(found, C).status is Status.PASS
    assert verdict.of_test([found]) == Verdict(Status.SPLAT, "in b: WARNING: x")


def test_a_splat_after_the_last_subtest_fails_the_test() -> None:
    found = evidence(ALL, log_of("a", "b", "c") + "WARNING: late\n")
    assert verdict.of_subtest(found, C).status is Status.PASS
    assert verdict.of_test([found]).status is Status.SPLAT


def test_a_subtest_is_finished_when_a_later_marker_is_there() -> None:
    running = report_of("ok 1 a", "# running: b", last="")
    found = evidence(running, log_of("a", end=""), ending=Ending.RUNNING, status=None)
    assert not verdict.finished(found, A)
    found = evidence(running, log_of("a", "b", end=""), ending=Ending.RUNNING, status=None)
    assert verdict.finished(found, A)
    assert not verdict.finished(found, B)


PANIC = "Kernel panic - not syncing: sysrq triggered crash\n"


def crashed() -> Evidence:
    report = report_of("ok 1 a", "# running: b", last="")
    log = log_of("a", "b", extra={"b": PANIC}, end="")
    return evidence(report, log, ending=Ending.GONE, status=None)


def test_a_crash_is_charged_to_the_running_subtest() -> None:
    found = crashed()
    assert verdict.of_subtest(found, A).status is Status.PASS
    assert verdict.of_subtest(found, B).status is Status.CRASH
    assert "sysrq" in verdict.of_subtest(found, B).message
    assert not verdict.to_be_continued(found, A)
    assert not verdict.to_be_continued(found, B)
    assert verdict.to_be_continued(found, C)


def test_the_worst_of_several_runs_stands() -> None:
    rest = evidence(report_of("ok 1 c"), log_of("c"), wanted=(C, WHOLE))
    whole = verdict.of_test([crashed(), rest])
    assert whole.status is Status.CRASH
    assert whole.message.startswith("in b: Kernel panic")


def test_the_whole_says_what_ended_its_machine() -> None:
    """An earlier splat, which another subtest answers for, is not why."""
    report = report_of("ok 1 a", "# running: b", last="")
    log = log_of("a", "b", extra={"a": "WARNING: before\n", "b": PANIC}, end="")
    found = evidence(report, log, ending=Ending.GONE, status=None)
    assert verdict.of_test([found]).message.startswith("in b: Kernel panic")


def test_a_crash_without_a_culprit_ends_the_test() -> None:
    """If every run crashed before its first subtest there would be no end."""
    found = evidence("KTAP version 1\n1..1\n", LOG + PANIC, ending=Ending.GONE, status=None)
    assert not any(verdict.to_be_continued(found, item) for item in (A, B, C))
    assert verdict.of_subtest(found, A).status is Status.MISS
    assert verdict.of_test([found]).status is Status.CRASH


def test_a_machine_that_ends_without_a_word_crashed() -> None:
    found = evidence(report_of("# running: a", last=""), log_of("a", end=""), ending=Ending.GONE)
    assert verdict.of_subtest(found, A).status is Status.CRASH
    assert "says not why" in verdict.of_subtest(found, A).message


def test_a_machine_that_says_farewell_is_quoted() -> None:
    log = log_of("a", extra={"a": "[    2.000000] sysrq: Resetting\n"}, end="")
    found = evidence(report_of("# running: a", last=""), log, ending=Ending.GONE)
    assert verdict.of_subtest(found, A) == Verdict(
        Status.CRASH, "the machine ended by itself: sysrq: Resetting"
    )


def test_a_flood_is_an_outcome_of_its_own() -> None:
    found = evidence(report_of("ok 1 a", "# running: b", last=""), LOG, ending=Ending.FLOODED)
    assert verdict.of_subtest(found, A).status is Status.PASS
    assert verdict.of_subtest(found, B).status is Status.FLOOD
    assert verdict.of_subtest(found, C).status is Status.MISS
    assert verdict.to_be_continued(found, C)
    assert verdict.of_test([found]).status is Status.FLOOD


def test_what_is_shown_is_not_endless() -> None:
    lines = verdict.trimmed([str(number) for number in range(100_000)])
    assert len(lines) <= 1001
    assert (lines[0], lines[500], lines[-1]) == ("0", "[ 99000 lines are left out here ]", "99999")
    assert verdict.trimmed(["a", "b"]) == ("a", "b")
    assert len(verdict.shortened("x" * 1_000_000)) == 4097


def test_a_deadline_says_which_phase_expired() -> None:
    report = report_of("# running: a", last="")
    found = evidence(report, log_of("a", end=""), ending=Ending.EXPIRED, status=None)
    assert verdict.of_subtest(found, A).status is Status.HANG
    assert "test deadline of 60 s" in verdict.of_subtest(found, A).message
    assert verdict.to_be_continued(found, C)


def test_a_timeout_of_the_runner_is_a_hang_and_the_rest_may_run() -> None:
    report = report_of(
        "ok 1 a",
        "not ok 2 b # TIMEOUT after 60 seconds",
        last="not ok 1 lsm_x # TIMEOUT after 60 s",
    )
    found = evidence(report, log_of("a", "b"), status=1)
    assert found.hung
    assert verdict.of_subtest(found, B).status is Status.HANG
    assert verdict.to_be_continued(found, C)
    assert verdict.of_test([found]).status is Status.HANG


def test_a_runner_that_dies_leaves_the_rest_to_another() -> None:
    found = evidence(report_of("ok 1 a", "# running: b", last=""), log_of("a", "b"), status=139)
    assert verdict.of_subtest(found, B).status is Status.MISS
    assert verdict.to_be_continued(found, C)


def test_skips_keep_their_reason() -> None:
    report = report_of("ok 1 a # SKIP no CPU", "ok 2 b", "ok 3 c")
    assert verdict.of_subtest(evidence(report, log_of("a", "b", "c")), A) == Verdict(
        Status.SKIP, "no CPU"
    )


@pytest.mark.parametrize("directive", ["TODO later", "XFAIL known", "ERROR x"])
def test_ok_with_any_other_directive_is_no_pass(directive: str) -> None:
    report = report_of(f"ok 1 a # {directive}", "ok 2 b", "ok 3 c")
    found = verdict.of_subtest(evidence(report, log_of("a", "b", "c")), A)
    assert found.status is Status.FAIL


KNOWN = [KnownFailure("upstream", "lsm_x/a", "6.12 has a gap")]


@pytest.mark.parametrize(
    ("status", "variant", "expected"),
    [
        (Status.FAIL, "upstream", Status.XFAIL),
        (Status.FAIL, "krsi", Status.FAIL),
        (Status.PASS, "upstream", Status.FAIL),
        (Status.PASS, "krsi", Status.PASS),
        (Status.CRASH, "upstream", Status.CRASH),
        (Status.SPLAT, "upstream", Status.SPLAT),
        (Status.MISS, "upstream", Status.MISS),
        (Status.SKIP, "upstream", Status.SKIP),
    ],
)
def test_known_failures(status: Status, variant: str, expected: Status) -> None:
    assert verdict.excuse(Verdict(status), variant, A, KNOWN).status is expected


DAY = date(2026, 6, 30)


def test_known_failures_are_read() -> None:
    text = "# comment\n\nupstream lsm_x/a until 2026-06-30: 6.12 has a gap\n"
    assert list(verdict.parse_known(text, "known", DAY)) == KNOWN


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("lsm_x until 2026-06-30: no variant", "expected 'VARIANT NAME until"),
        ("upstream lsm_x until 2026-06-30", "expected 'VARIANT NAME until"),
        ("upstream lsm_x until 2026-06-30:", "expected 'VARIANT NAME until"),
        ("upstream lsm_x: no date", "says not until when"),
        ("upstream lsm_x until 2026-06-31: no such day", "'2026-06-31' is no date"),
        ("upstream lsm_x until soon: no date", "'soon' is no date"),
    ],
)
def test_a_malformed_line_is_named(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"^known:2: .*{why}"):
        verdict.parse_known(f"#\n{line}\n", "known", DAY)


@pytest.mark.parametrize(
    ("day", "expected"), [(DAY, Status.XFAIL), (date(2026, 7, 1), Status.FAIL)]
)
def test_an_excuse_ends_with_its_day(day: date, expected: Status) -> None:
    text = "any lsm_x/a until 2026-06-30: a gap\n"
    known = verdict.parse_known(text, "policy/known-failures.txt", day)
    found = verdict.excuse(Verdict(Status.FAIL, "no"), "krsi", A, known)
    assert found.status is expected
    lapsed = "policy/known-failures.txt:1 has expired on 2026-06-30: a gap" in found.message
    assert lapsed == (expected is Status.FAIL)


def test_the_list_in_the_tree_can_be_read() -> None:
    path = ROOT / "policy/known-failures.txt"
    verdict.parse_known(path.read_text(), str(path), DAY)
