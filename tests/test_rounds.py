"""Several rounds: what is called a flake, and what is not."""

from harness.model import Status
from harness.run.selftests import Item
from harness.verdicts import rounds
from harness.verdicts.verdict import Verdict

A, B = Item("lsm_x", "a"), Item("lsm_x", "b")


def of(a: Status, b: Status | None = None) -> dict[Item, Verdict]:
    return {A: Verdict(a)} if b is None else {A: Verdict(a), B: Verdict(b)}


def test_all_alike() -> None:
    fine = of(Status.PASS, Status.SKIP)
    assert rounds.summary([fine] * 3) == ["3 rounds: no flake"]
    assert rounds.summary([fine]) == ["1 round: no flake"]


def test_what_always_fails_is_no_flake() -> None:
    assert rounds.summary([of(Status.FAIL, Status.PASS)] * 2) == [
        "2 rounds: no flake; what failed did so in every round"
    ]


def test_the_odd_rounds_are_named() -> None:
    fine, crash = of(Status.PASS, Status.PASS), of(Status.CRASH, Status.PASS)
    assert rounds.summary([fine, crash, fine, of(Status.HANG, Status.SKIP)]) == [
        "4 rounds: 2 differed",
        "  lsm_x/a: pass, but crash in round 2, hang in round 4",
        "  lsm_x/b: pass, but skip in round 4",
    ]


def test_what_was_not_reached_does_not_differ() -> None:
    assert rounds.flakes([of(Status.PASS, Status.PASS), of(Status.PASS)]) == {}
    assert rounds.flakes([of(Status.PASS), {}]) == {}
