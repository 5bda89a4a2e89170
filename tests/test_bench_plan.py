"""Which boots it takes to measure which cases."""

import pytest

from harness.bench import plan
from harness.errors import UsageError


def test_every_case_has_one_boot() -> None:
    cases = [case for boot in plan.boots() for case in boot.cases]
    assert len(cases) == len(set(cases))
    assert {"mprotect/idle", "execve/cgroup-8", "links/38-populated/detach", "boot"} <= set(cases)


def test_a_call_without_a_hook_is_only_measured_idle() -> None:
    assert [boot.cases for boot in plan.boots(["getppid"])] == [("getppid/idle",)]


def test_what_is_compared_with_loaded_programs_brings_them_along() -> None:
    (boot,) = plan.boots(["mprotect/noop-8"])
    assert boot.words == ("call", "mprotect", "loaded", "noop-8")
    assert boot.cases == ("mprotect/loaded", "mprotect/noop-8")


def test_idle_comes_first_and_alone() -> None:
    """A boot in which programs were loaded before says nothing about one without them."""
    (boot,) = plan.boots(["mprotect/idle"])
    assert boot.words == ("call", "mprotect", "idle")
    assert all(b.words[2] == "idle" for b in plan.boots() if b.words[0] == "call")


def test_patterns_choose_across_boots() -> None:
    chosen = plan.boots(["*/idle", "links/1"])
    assert [boot.name for boot in chosen] == [*plan.CALLS, "links"]
    assert chosen[-1].words == ("links", "1")
    assert chosen[-1].cases == ("links/1/attach", "links/1/update", "links/1/detach")


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="'mprotekt'"):
        plan.boots(["mprotect", "mprotekt"])


def test_the_kernel_can_take_the_longest_command_line() -> None:
    assert max(len(" ".join(boot.words)) for boot in plan.boots()) < 1500
