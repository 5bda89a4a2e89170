"""Which C selftests there are, what the user may call them, what the runner is told."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.run import selftests
from harness.run.selftests import Item, Selftest

ATTACH = Selftest("lsm_attach", ("close", "pin", "a*b"), Path("lsm_attach.c"))
ORDER = Selftest("lsm_order", (), Path("lsm_order.c"))


def test_scan_finds_literals_and_no_comments() -> None:
    source = """
    /* if (test__start_subtest("commented")) */
    // test__start_subtest("too")
    static const char *url = "http://x"; /* "unbalanced */
    void test_lsm_attach(void)
    {
        if (test__start_subtest("close"))
            close_it();
        if (test__start_subtest (
                "pin"))
            pin_it();
        if (test__start_subtest("close"))
            again();
        if (test__start_subtest(cases[i].name))
            unknown();
    }
    """
    assert selftests.scan(source) == ("close", "pin")


@pytest.mark.parametrize("begun", ["/* ", '\\"'])
def test_what_never_ends_is_gone_through_once(begun: str) -> None:
    """Hours, if each place could be the beginning."""
    source = 'test__start_subtest("one");\n' + begun * 1_000_000
    assert selftests.scan(source) == ("one",)


def test_discover_reads_names_and_order(tmp_path: Path) -> None:
    (tmp_path / "lsm_b.c").write_text('test__start_subtest("two");test__start_subtest("one");')
    (tmp_path / "lsm_a.c").write_text("void test_lsm_a(void) {}")
    (tmp_path / "lsm_helpers.h").write_text("")
    (tmp_path / "other.c").write_text("")
    found = selftests.discover(tmp_path)
    assert [(test.name, test.subtests) for test in found] == [
        ("lsm_a", ()),
        ("lsm_b", ("two", "one")),
    ]
    assert [item.name for item in found[1].items] == ["lsm_b/two", "lsm_b/one", "lsm_b"]


def test_those_that_boot_alike_are_neighbours(tmp_path: Path) -> None:
    wants = '#define KERNEL_OPTIONS "lsm=bpf x.y=1"\n'
    (tmp_path / "lsm_a.c").write_text(wants)
    (tmp_path / "lsm_b.c").write_text("/* " + wants.replace("#", " #") + " */")
    (tmp_path / "lsm_c.c").write_text(wants)
    found = selftests.discover(tmp_path)
    assert [(test.name, test.options) for test in found] == [
        ("lsm_b", ()),
        ("lsm_a", ("lsm=bpf", "x.y=1")),
        ("lsm_c", ("lsm=bpf", "x.y=1")),
    ]


def test_what_a_test_wants_on_the_command_line_comes_last(tmp_path: Path) -> None:
    (tmp_path / "lsm_a.c").write_text("")
    (tmp_path / "lsm_b.c").write_text('#define KERNEL_OPTIONS "lsm=bpf"\n')
    found = selftests.booted_with(selftests.discover(tmp_path), ("lsm=yama", "x"))
    assert [test.options for test in found] == [("lsm=yama", "x"), ("lsm=yama", "x", "lsm=bpf")]


def test_an_empty_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make patches"):
        selftests.discover(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], ["lsm_attach/close", "lsm_attach/pin", "lsm_attach/a*b", "lsm_attach", "lsm_order"]),
        (["lsm_order"], ["lsm_order"]),
        (["lsm_attach/pin"], ["lsm_attach/pin"]),
        (["lsm_order", "lsm_attach/pin"], ["lsm_attach/pin", "lsm_order"]),
        (["*/pin"], ["lsm_attach/pin"]),
        (["lsm_o*"], ["lsm_order"]),
    ],
)
def test_choose(wanted: list[str], names: list[str]) -> None:
    assert [item.name for item in selftests.choose([ATTACH, ORDER], wanted)] == names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lsm_atach", "lsm_attach"),
        ("lsm_attach/pinn", "lsm_attach/pin"),
        ("order", "lsm_order"),
        ("zzz", "--list"),
        ("lsm_order/none", "lsm_order"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        selftests.choose([ATTACH, ORDER], [name])


def test_patterns_are_quoted_for_the_runner() -> None:
    assert selftests.patterns(ATTACH, ATTACH.items) == ("lsm_attach",)
    assert selftests.patterns(ATTACH, [Item("lsm_attach")]) == ("lsm_attach",)
    assert selftests.patterns(ORDER, ORDER.items) == ("lsm_order",)
    chosen = [Item("lsm_attach", "pin"), Item("lsm_attach", "a*b")]
    assert selftests.patterns(ATTACH, chosen) == ("lsm_attach/pin", r"lsm_attach/a\*b")
