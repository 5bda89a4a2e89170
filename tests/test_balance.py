"""Who runs what: longest first, one kernel after the other, no more machines than memory."""

from harness.run import balance
from harness.run.balance import Entry
from harness.run.selftests import Item

GIB = 1 << 30
MEMINFO = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:   10485760 kB\n"


def entry(test: str, variant: str = "krsi", number: int = 1, options: str = "") -> Entry:
    name = f"{test}[{variant}#{number}]"
    return Entry(name, variant, number, Item(test), tuple(options.split()))


def test_the_longest_comes_first_within_its_kernel_and_round() -> None:
    entries = [
        entry(test, variant, number)
        for variant in ("krsi", "audit")
        for number in (1, 2)
        for test in ("short", "long")
    ]
    units = balance.units(entries, {"krsi": {"short": 1.0, "long": 7.0}})
    names = [name.removesuffix("]").partition("[") for name in units]
    assert [test for test, _, _ in names] == ["long", "short"] * 4
    assert [where for _, _, where in names[::2]] == ["krsi#1", "krsi#2", "audit#1", "audit#2"]


def test_what_needs_a_boot_of_its_own_is_last() -> None:
    entries = [entry("own", options="lsm=bpf"), entry("other")]
    assert list(balance.units(entries, {"krsi": {"own": 99.0}})) == ["other[krsi#1]", "own[krsi#1]"]


def test_bins_are_as_full_as_each_other_and_hold_whole_tests() -> None:
    took = {"krsi": {"a": 6.0, "b": 3.0, "c": 3.0}, "upstream": {"a": 6.0, "b": 3.0, "c": 3.0}}
    entries = [entry(test, variant) for variant in ("upstream", "krsi") for test in ("b", "a", "c")]
    assert balance.bins(entries, took, 2) == {
        "machine 2": ["b[upstream#1]", "c[upstream#1]", "b[krsi#1]", "c[krsi#1]"],
        "machine 1": ["a[upstream#1]", "a[krsi#1]"],
    }


def test_an_unknown_duration_is_that_of_another_kernel() -> None:
    took = {"upstream": {"a": 6.0}}
    assert balance.seconds(took, "krsi", "a") == 6.0
    assert balance.seconds(took, "krsi", "b") == 1.0


def test_memory_is_respected() -> None:
    free = balance.available(MEMINFO)
    assert free == 10 * GIB
    assert balance.machines(8, ["2G", "3G"], free) == 3
    assert balance.machines(2, ["2G"], free) == 2
    assert balance.machines(8, ["3G"], 0) == 1
    assert balance.machines(4, ["512M"], free) == 4


def test_durations_are_those_of_whole_tests() -> None:
    ran = {"krsi": [(Item("a", "x"), 1.0), (Item("a"), 0.5), (Item("b", "x"), 9.0)]}
    before = {"krsi": {"b": 3.0}, "audit": {"a": 4.0}}
    after = balance.learned(before, ran)
    assert after == {"krsi": {"a": 1.5, "b": 3.0}, "audit": {"a": 4.0}}
    assert before["krsi"] == {"b": 3.0}
