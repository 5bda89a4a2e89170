"""The same tables on the terminal, in the document and in the page; plots repeat."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from bench_fakes import KRSI, NONE, UPSTREAM, figure, kernel, record
from harness.bench import compare, page, plots, tables
from harness.bench.record import Case, Record
from harness.bench.tables import Table

FULL = record(NONE, UPSTREAM, KRSI)


def row(table: Table, first: str) -> tuple[str, ...]:
    (found,) = [words for words in table.rows if words[0] == first]
    return found


def test_a_table_on_the_terminal() -> None:
    table = Table("Title", ("call", "n"), (("stat", "1"), ("open", "100")), ("A note.",))
    assert table.text().splitlines() == [
        "Title",
        "  call    n",
        "  stat    1",
        "  open  100",
        "  A note.",
    ]


def test_a_table_in_a_document() -> None:
    table = Table("Title", ("call", "n"), (("stat", "1"),), ("A note.",))
    assert table.markdown().splitlines() == [
        "## Title",
        "",
        "| call | n |",
        "| --- | --: |",
        "| stat | 1 |",
        "",
        "A note.",
    ]


def test_idle_calls_are_shown_beside_the_floor_and_the_hooks() -> None:
    table = tables.idle_table(FULL)
    assert table.head == ("call", "hooks", "none", "upstream", "above none", "krsi", "above none")
    assert row(table, "mprotect") == ("mprotect", "1", "1,000", "1,008", "+8", "1,001", "+1")


def test_without_the_floor_nothing_is_above_it() -> None:
    table = tables.idle_table(record(UPSTREAM))
    assert table.head == ("call", "hooks", "upstream")
    assert row(table, "mprotect") == ("mprotect", "–", "1,008")


def test_hooks_are_named() -> None:
    cases = {
        "crossed/pipe": Case({"file_open": 1, "file_permission": 2}),
        "crossed/getppid": Case(),
        "crossed/refused": Case({"init": 0}),
    }
    table = tables.hooks_table(record(kernel("krsi", cases)))
    assert table.rows == (("pipe", "2 × file_permission, file_open"),)
    assert table.notes == ("Take no program: init.",)


def test_programs_by_number() -> None:
    words = row(tables.programs_table(FULL), "mprotect, upstream")
    assert words == (
        "mprotect, upstream",
        "1,008",
        "+182",
        "+287",
        "+497",
        "+917",
        "+1,757",
        "+4,067",
    )


def test_links_and_what_is_not_possible() -> None:
    table = tables.links_table(FULL)
    assert row(table, "1 update, upstream")[1] == "not possible"
    assert row(table, "1 attach, upstream")[-2:] == ("4,000,000", "1,000,000")


def test_tables_without_figures_are_left_out() -> None:
    titles = [table.title for table in tables.all_tables(record(NONE))]
    assert titles == ["Nothing attached: instructions per call", "Size"]


def test_nanoseconds_are_shown_with_their_spread() -> None:
    timed = replace(KRSI, nanoseconds={"mprotect/idle": (120.0, 99.0, 101.0)})
    table = tables.nanoseconds_table(record(timed))
    assert table.rows == (("mprotect/idle, krsi", "101.0", "99.0", "120.0"),)


def test_what_wavers_is_named() -> None:
    measured = kernel("krsi", {"kill/idle": figure(9, 1.5), "execve/idle": figure(9, 5)})
    said, found = tables.unsteady_notes(record(measured))
    assert said.startswith("~ execve: it comes in kinds")
    assert found.endswith("krsi kill/idle (+1.50).")


def test_plots_are_the_same_bytes_each_time() -> None:
    first, second = plots.plots(FULL), plots.plots(FULL)
    assert first == second
    assert list(first) == ["programs.svg", "idle.svg", "attach.svg"]
    for svg in first.values():
        assert ET.fromstring(svg).tag.endswith("svg")


def test_no_plot_without_figures() -> None:
    assert plots.plots(record(kernel("none", {}))) == {}


def test_the_page_holds_plots_tables_and_problems() -> None:
    broken = replace(KRSI, problems=("no figure for <stat>",))
    found = record(NONE, UPSTREAM, broken)
    changes = compare.changes(record(replace(KRSI, cases=UPSTREAM.cases)), found)
    text = page.html(found, plots.plots(found), (tables.change_table(changes),))
    assert text.count("<svg") == 3
    assert "<?xml" not in text
    assert "no figure for &lt;stat&gt;" in text
    assert "<td>krsi: mprotect/idle</td><td>1,008</td><td>1,001</td><td>−7</td>" in text


def test_the_document_has_goals_and_origin_and_no_path() -> None:
    text = page.markdown(FULL)
    assert (
        "| mprotect, nothing attached, above none | at most 1 | +1 | instructions | reached |"
        in text
    )
    assert "krsi (Linux 6.12.7, series abcd)" in text
    assert "/" + "work" not in text


def test_a_kernel_without_a_manifest_is_measured_all_the_same() -> None:
    strange = Record("", "QEMU", (replace(KRSI, manifest={}),))
    assert "krsi (Linux ?)" in page.origin(strange)
