"""Differences, goals and comparisons."""

from dataclasses import replace

import pytest

from bench_fakes import KRSI, NONE, UPSTREAM, figure, kernel, link, mprotect, record
from harness.bench import compare, figures
from harness.bench.figures import Figure
from harness.bench.goals import Goal, goals
from harness.bench.record import Case


def verdicts(*kernels: object) -> dict[str, str]:
    return {goal.what: goal.verdict for goal in goals(record(*kernels))}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shown", "number"),
    [("1,147", Figure(1147)), ("1,147.50", Figure(1147.5)), ("~9", Figure(9, steady=False))],
)
def test_numbers_for_people(shown: str, number: Figure) -> None:
    assert str(number) == shown


def test_differences_carry_their_sign_and_their_doubt() -> None:
    assert figures.signed(Figure(3).minus(Figure(1))) == "+2"
    assert figures.signed(Figure(1).minus(Figure(3, steady=False))) == "~−2"
    assert figures.signed(None) == "–"


def test_a_case_is_steady_when_its_batches_agree_and_its_call_can_be_compared() -> None:
    cases = {"stat/idle": figure(9), "kill/idle": figure(9, 1), "execve/idle": figure(9)}
    found = {name: figures.cost(kernel("krsi", cases), name) for name in cases}
    assert [each and each.steady for each in found.values()] == [True, False, False]


def test_programs_are_compared_with_loaded_ones() -> None:
    cases = {"stat/idle": figure(9), "stat/loaded": figure(10), "stat/noop-1": figure(12)}
    assert figures.signed(figures.added(kernel("krsi", cases), "stat", "noop-1")) == "+2"


def test_programs_of_a_cgroup_are_compared_with_a_caller_in_it() -> None:
    cases = {"stat/loaded": figure(9), "stat/inside-8": figure(11), "stat/cgroup-8": figure(14)}
    assert figures.signed(figures.added(kernel("krsi", cases), "stat", "cgroup-8")) == "+3"


def test_each_further_program_is_the_dearest_one() -> None:
    cases = mprotect(1000, 60, 13)
    cases["mprotect/noop-8"] = figure(1000 + 60 + 7 * 13 + 40)
    assert figures.further(kernel("krsi", cases)) == Figure(13 + 10)


def test_hooks_are_counted_as_often_as_they_are_called() -> None:
    cases = {"crossed/pipe": Case({"file_permission": 2, "x": 1}), "crossed/bpf": Case({}, "no")}
    assert figures.crossed(kernel("krsi", cases), "pipe") == 3
    assert figures.crossed(kernel("krsi", cases), "bpf") is None
    assert figures.crossed(None, "pipe") is None


def test_waiting_is_what_was_not_executed() -> None:
    assert figures.waited(UPSTREAM, "links/1/attach") == 1_000_000
    assert figures.waited(UPSTREAM, "links/1/update") is None


def test_goals_that_are_reached_and_missed() -> None:
    found = verdicts(NONE, UPSTREAM, KRSI)
    assert found["mprotect, nothing attached, above none"] == "reached"
    assert found["first no-op program on file_mprotect"] == "reached"
    assert found["each further one"] == "reached"
    assert found["38 of them"] == "reached"
    assert found["attach, program 1"] == "reached"
    assert found["update, program 1"] == "missed"
    assert found["detach, program 1"] == "missed"


def test_a_goal_without_a_figure_is_not_reached() -> None:
    found = verdicts(UPSTREAM)
    assert set(found.values()) == {"not measured"}
    # Without knowing how many hooks are crossed, no difference is small enough.
    blind = replace(KRSI, cases={"mprotect/idle": figure(1000)})
    assert verdicts(NONE, blind)["mprotect, nothing attached, above none"] == "not measured"


def test_a_figure_that_wavers_does_not_miss() -> None:
    assert Goal("", 10, Figure(11)).verdict == "missed"
    assert Goal("", 10, Figure(11, steady=False)).verdict == "unclear"
    assert Goal("", 10, Figure(10, steady=False)).verdict == "reached"


def changed(case: str, value: Case) -> compare.Change:
    new = replace(KRSI, cases={**KRSI.cases, case: value})
    (change,) = compare.changes(record(KRSI), record(new))
    return change


def test_the_same_figures_are_no_change() -> None:
    assert compare.changes(record(NONE, KRSI), record(NONE, KRSI)) == ()


@pytest.mark.parametrize(
    ("case", "value", "worse"),
    [
        ("mprotect/idle", figure(1002), True),
        ("mprotect/idle", figure(1000), False),
        ("mprotect/idle", figure(1002, spread=3), False),
        ("mprotect/noop-8", figure(2000), True),
        ("mprotect/loaded", figure(2000), False),
        ("links/1/attach", link(52_000), False),
        ("links/1/attach", link(53_000), True),
    ],
)
def test_what_is_worse(case: str, value: Case, worse: bool) -> None:
    assert changed(case, value).worse is worse


def test_another_kernel_is_never_worse() -> None:
    new = replace(UPSTREAM, cases={**UPSTREAM.cases, "mprotect/idle": figure(5000)})
    (change,) = compare.changes(record(UPSTREAM), record(new))
    assert (change.old, change.new, change.worse) == (1008, 5000, False)


def test_calls_that_waver_may_grow_a_little() -> None:
    before = kernel("krsi", {"execve/idle": figure(1000)})
    little = kernel("krsi", {"execve/idle": figure(1040)})
    much = kernel("krsi", {"execve/idle": figure(1060)})
    assert not compare.changes(record(before), record(little))[0].worse
    assert compare.changes(record(before), record(much))[0].worse


def test_a_figure_that_vanishes_is_named() -> None:
    less = replace(KRSI, cases={"mprotect/idle": figure(1001), "links/1/attach": Case({}, "no")})
    assert compare.vanished(record(KRSI), record(less)) == ("krsi: links/1/attach is gone: no",)
