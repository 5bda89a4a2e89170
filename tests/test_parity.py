"""The comparison of kernels: what is a difference, what the policy excuses, what it must not."""

from datetime import date

import pytest

from harness.errors import UsageError
from harness.model import ROOT, Status
from harness.run import parity
from harness.run.parity import Comparison, Outcome
from harness.run.selftests import Item, Selftest
from harness.verdicts import ktap
from harness.verdicts.splat import Splat
from harness.verdicts.verdict import Ending, Evidence, KnownFailure, Verdict, parse_known

TEST = Selftest("t", (), ROOT / "t.c", closed=False)
WHOLE = Item("t")
PASSED = Verdict(Status.PASS)
FAILED = Verdict(Status.FAIL, "failed: b", ("it said",), seconds=1.5)


def run(*lines: str, last: str = "ok 1 t", log: str = "") -> Evidence:
    body = "".join(f"    {line}\n" for line in lines)
    count = sum(line.startswith(("ok", "not ok")) for line in lines)
    text = f"KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: t\n{body}"
    text += f"    1..{count}\n{last}\n" if last else ""
    return Evidence(TEST, (WHOLE,), ktap.parse(text), log, (), Ending.EXITED, 0)


GOOD = run("ok 1 a", "ok 2 b")
BAD = run("ok 1 a", "# f:FAIL:x", "not ok 2 b", last="not ok 1 t")


LAST = date(2026, 6, 30)


def known(*entries: str, day: date = LAST) -> tuple[KnownFailure, ...]:
    text = "".join(f"{entry} until 2026-06-30: because\n" for entry in entries)
    return parse_known(text, "policy", day)


def compare(*entries: str, base: Evidence = GOOD, base_verdict: Verdict = PASSED) -> Comparison:
    """A comparison that has seen the baseline."""
    comparison = Comparison(known(*entries))
    comparison.judge("upstream", WHOLE, base_verdict, [base])
    return comparison


def test_what_passes_on_both_is_no_difference() -> None:
    comparison = compare()
    assert comparison.judge("krsi", WHOLE, PASSED, [GOOD]) == PASSED
    assert comparison.summary()[-1] == "pass on upstream and not on krsi: 0"


def test_a_failure_where_upstream_passes_is_called_a_difference() -> None:
    comparison = compare()
    verdict = comparison.judge("krsi", WHOLE, FAILED, [BAD])
    assert verdict.status is Status.FAIL
    assert verdict.message == "passes on upstream, not here: t/b"
    assert verdict.details == ("t/b: f:FAIL:x", "it said")
    assert verdict.seconds == 1.5
    assert comparison.summary()[-2:] == ["pass on upstream and not on krsi: 1", "  t/b"]


@pytest.mark.parametrize(
    ("lines", "lost"),
    [(("ok 1 a",), "t/b"), (("ok 1 a", "ok 2 b # SKIP no time"), "t/b"), ((), "t/a, t/b")],
)
def test_what_is_skipped_or_missing_is_a_difference(lines: tuple[str, ...], lost: str) -> None:
    verdict = compare().judge("krsi", WHOLE, PASSED, [run(*lines)])
    assert (verdict.status, verdict.message) == (
        Status.FAIL,
        f"passes on upstream, not here: {lost}",
    )


def test_a_test_that_is_skipped_as_a_whole_is_a_difference() -> None:
    comparison = compare(base=run())
    verdict = comparison.judge("krsi", WHOLE, Verdict(Status.SKIP, "no time"), [run()])
    assert (verdict.status, verdict.message) == (Status.FAIL, "passes on upstream, not here: t")


def test_the_policy_excuses_a_failing_subtest() -> None:
    comparison = compare("krsi t/b")
    verdict = comparison.judge("krsi", WHOLE, FAILED, [BAD])
    assert (verdict.status, verdict.message) == (Status.XFAIL, "because")
    assert comparison.summary()[-1] == "  t/b  (allowed: because)"


def test_only_failures_are_excused() -> None:
    skipped = run("ok 1 a", "ok 2 b # SKIP no time")
    assert compare("krsi t/b").judge("krsi", WHOLE, PASSED, [skipped]) == PASSED
    grave = Verdict(Status.CRASH, "panic")
    assert compare("krsi t").judge("krsi", WHOLE, grave, [BAD]) == grave


@pytest.mark.parametrize("status", [Status.SPLAT, Status.HANG, Status.MISS])
def test_a_subtest_that_did_more_than_fail_is_not_excused(status: Status) -> None:
    seen = {"t": Outcome(Status.FAIL), "t/b": Outcome(status)}
    verdict = parity.judge(WHOLE, FAILED, seen, {}, {"t/b": "because"})
    assert verdict.message == "fails without a reason in policy/parity.txt: t/b"


def test_what_fails_on_both_needs_a_reason() -> None:
    unlisted = Comparison(())
    verdict = unlisted.judge("upstream", WHOLE, FAILED, [BAD])
    assert verdict.message == "fails without a reason in policy/parity.txt: t/b"
    assert verdict.status is Status.FAIL
    listed = Comparison(known("any t/b"))
    for variant in ("upstream", "krsi"):
        verdict = listed.judge(variant, WHOLE, FAILED, [BAD])
        assert (verdict.status, verdict.message) == (Status.XFAIL, "because")


def test_without_a_baseline_every_failure_needs_a_reason() -> None:
    verdict = Comparison(()).judge("krsi", WHOLE, FAILED, [BAD])
    assert verdict.message == "fails without a reason in policy/parity.txt: t/b"


@pytest.mark.parametrize("name", ["t", "t/a", "t/gone"])
def test_an_entry_that_is_not_needed_fails(name: str) -> None:
    verdict = Comparison(known(f"any {name}")).judge("upstream", WHOLE, PASSED, [GOOD])
    assert verdict.status is Status.FAIL
    assert verdict.message == f"listed in policy/parity.txt and does not fail: {name}"


def test_an_entry_for_another_kernel_does_not_count() -> None:
    verdict = Comparison(known("krsi t/b")).judge("upstream", WHOLE, FAILED, [BAD])
    assert verdict.status is Status.FAIL


def test_a_subtest_that_was_running_when_the_test_died_is_seen() -> None:
    dead = run("ok 1 a", "# running: b", last="")
    column = parity.outcomes(WHOLE, Verdict(Status.MISS, "no result"), [dead])
    assert {name: outcome.status for name, outcome in column.items()} == {
        "t": Status.MISS,
        "t/a": Status.PASS,
        "t/b": Status.MISS,
    }


def test_a_policy_must_speak_of_tests_that_there_are() -> None:
    parity.check(known("any t/x"), [TEST])
    with pytest.raises(UsageError, match="no test 'u/x'"):
        parity.check(known("any u/x"), [TEST])


def test_the_table_shows_what_differs_and_counts_the_rest() -> None:
    comparison = compare()
    comparison.judge("krsi", WHOLE, FAILED, [BAD])
    assert comparison.table(full=False) == [
        "                     upstream  krsi",
        "! t (and 1 subtest)  PASS      FAIL   failed: b",
        "! t/b                PASS      FAIL   f:FAIL:x",
    ]
    assert "  t/a  PASS      PASS" in comparison.table(full=True)


def test_subtests_that_fail_alike_share_a_line() -> None:
    comparison = Comparison(known("any t/d"))
    lines = (f"not ok {number} {name}" for number, name in enumerate("abcd", 1))
    comparison.judge("krsi", WHOLE, FAILED, [run(*lines, last="not ok 1 t")])
    assert comparison.table(full=False)[2:] == [
        "  t/a (and 2 subtests)  FAIL   reported as not ok",
        "  t/d                   FAIL   (allowed: because)",
    ]
    assert len(comparison.table(full=True)) == 6


LOAD = (
    "libbpf: prog 'p': BPF program load failed: Invalid argument",
    "libbpf: prog 'p': -- BEGIN PROG LOAD LOG --",
    "0: R1=ctx()",
    "helper call is not allowed in probe",
    "processed 3 insns (limit 1000000)",
    "-- END PROG LOAD LOG --",
    "libbpf: failed to load object 'o'",
    "prog_tests/t.c:7: test_t:FAIL:load unexpected error: -22 (errno 22)",
)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (PASSED, ""),
        (Verdict(Status.SKIP, "no time"), "no time"),
        (Verdict(Status.FAIL, "odd", ("nothing to see",)), "odd"),
        (
            Verdict(Status.FAIL, "", LOAD),
            f"{LOAD[-1].partition(' ')[2]} <- p: Invalid argument: {LOAD[3]}",
        ),
        (
            Verdict(Status.FAIL, "", ("libbpf: prog 'p': failed to attach: -95", "f:FAIL:attach")),
            "f:FAIL:attach <- libbpf: prog 'p': failed to attach: -95",
        ),
        (Verdict(Status.SPLAT, "warning: W", LOAD, (Splat("w", "W", "t", 1, ()),)), "warning: W"),
    ],
)
def test_why_is_one_line(verdict: Verdict, line: str) -> None:
    assert parity.why(verdict) == line


def test_outcomes_carry_why() -> None:
    assert parity.outcomes(WHOLE, FAILED, [BAD])["t/b"] == Outcome(Status.FAIL, "f:FAIL:x")


def test_what_has_expired_excuses_nothing_and_says_so() -> None:
    for base in GOOD, BAD:
        comparison = Comparison(known("any t/b", day=date(2026, 7, 1)))
        comparison.judge("upstream", WHOLE, PASSED if base is GOOD else FAILED, [base])
        verdict = comparison.judge("krsi", WHOLE, FAILED, [BAD])
        assert verdict.status is Status.FAIL
        assert "policy:1 has expired on 2026-06-30: because" in verdict.message
    passing = comparison.judge("krsi", WHOLE, PASSED, [GOOD])
    assert "listed in policy/parity.txt and does not fail: t/b" in passing.message
