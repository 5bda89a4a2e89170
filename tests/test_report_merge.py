"""Shards: disjoint and complete; joined again, nothing is lost and nothing passes for free."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import runs
from harness import cli, report
from harness.errors import UsageError
from harness.model import Status
from harness.report import merge, shards, store
from harness.report.merge import Part
from harness.report.results import Results, Shard
from harness.run import options
from harness.run.selftests import Item

TESTS = ("lsm_a", "lsm_b", "lsm_c", "lsm_d", "lsm_e")
ITEMS = {
    variant: tuple(item for test in TESTS for item in (Item(test, "x"), Item(test)))
    for variant in ("krsi", "upstream")
}


def part(number: int, *, count: int = 3, code: int = 0, status: str = "pass") -> Results:
    """The report of one shard of ITEMS."""
    mine, shard = shards.take(ITEMS, number, count)
    items = [
        runs.item(each.name, status, variant) for variant, found in mine.items() for each in found
    ]
    kernels = tuple(map(runs.kernel, mine))
    return runs.run(*items, id=f"run-{number}", kernels=kernels, shard=shard, exit_code=code)


def parts(*results: Results) -> tuple[Part, ...]:
    return tuple(Part(Path(f"r{number}"), each) for number, each in enumerate(results, 1))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_are_disjoint_and_complete(count: int) -> None:
    dealt = [shards.take(ITEMS, number, count) for number in range(1, count + 1)]
    for variant, items in ITEMS.items():
        seen = [item for chosen, _ in dealt for item in chosen[variant]]
        assert sorted(seen) == sorted(items)
        for chosen, shard in dealt:
            rest = [item.name for item in items if item not in chosen[variant]]
            assert list(shard.others[variant]) == rest
    sizes = [len(chosen["krsi"]) for chosen, _ in dealt]
    assert max(sizes) - min(sizes) <= 2


def test_subtests_stay_with_their_test_and_kernels_are_dealt_alike() -> None:
    chosen, shard = shards.take(ITEMS, 2, 3)
    assert [item.name for item in chosen["krsi"]] == ["lsm_b/x", "lsm_b", "lsm_e/x", "lsm_e"]
    assert chosen["krsi"] == chosen["upstream"]
    assert shards.says(chosen, shard) == "shard 2/3: 2 tests: lsm_b, lsm_e"


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected I/N"):
        shards.parse(text)


def test_an_empty_shard_is_refused() -> None:
    with pytest.raises(UsageError, match=r"6/6 would be empty: there is only 5 tests"):
        shards.take(ITEMS, 6, 6)


def test_a_shard_is_not_of_what_an_expression_leaves() -> None:
    with pytest.raises(UsageError, match="leave out -k"):
        options.parse(["--shard", "1/2", "-k", "x"])
    assert options.parse(["--shard", "1/2"]).wishes.shard == (1, 2)


def test_all_shards_are_the_whole() -> None:
    found = merge.join(parts(part(1), part(2), part(3)))
    assert {(item.variant, item.name) for item in found.items} == {
        (variant, item.name) for variant, items in ITEMS.items() for item in items
    }
    assert (found.exit_code, found.shard) == (0, None)
    (krsi, upstream) = found.kernels
    assert krsi.consoles == ("1-console-krsi.log", "2-console-krsi.log", "3-console-krsi.log")
    assert [life.console for life in upstream.machines][:1] == ["1-console-upstream.log"]


@pytest.mark.parametrize(("codes", "worst"), [((0, 1, 0), 1), ((1, 4, 0), 4), ((130, 4, 0), 130)])
def test_the_status_is_the_worst(codes: tuple[int, int, int], worst: int) -> None:
    given = [part(number, code=code) for number, code in enumerate(codes, 1)]
    assert merge.join(parts(*given)).exit_code == worst


def test_a_missing_shard_is_no_pass() -> None:
    found = merge.join(parts(part(1), part(3)))
    assert found.exit_code == 4
    missing = [item for item in found.items if item.status is Status.MISS]
    assert {item.name for item in missing} == {"lsm_b/x", "lsm_b", "lsm_e/x", "lsm_e"}
    assert {item.variant for item in missing} == {"krsi", "upstream"}
    assert missing[0].message == "did not run: shard 2 is missing"
    assert all(
        kernel.error == "shard 2 is missing: their items are MISS" for kernel in found.kernels
    )


def test_an_item_that_no_shard_reports_is_no_pass() -> None:
    short = part(2)
    short = replace(short, items=short.items[1:])
    found = merge.join(parts(part(1), short, part(3)))
    (lost,) = [item for item in found.items if item.status is Status.MISS]
    assert (lost.name, lost.message) == ("lsm_b/x", "did not run: no shard has reported it")
    assert found.exit_code == 1


OTHER = Shard(2, 3, {"krsi": ("lsm_z",)})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "nothing to merge"),
        ([part(1), part(1)], "the same shard twice: shard 1/3 in r1 and shard 1/3 in r2"),
        ([runs.run(), runs.run(options=("quiet",))], "added different words"),
        ([part(1), part(2, count=2)], "not parts of the same whole"),
        ([part(1), runs.run(runs.item("lsm_z"))], "not parts of the same whole"),
        (
            [runs.run(runs.item("lsm_z")), runs.run(runs.item("lsm_z"))],
            "lsm_z on krsi is in r1 and",
        ),
        ([part(1), runs.run(suite="clients")], "of the suite clients"),
        ([part(1), runs.run(runs.item("lsm_y"), shard=OTHER)], "deal out different tests"),
        (
            [
                part(1),
                replace(part(2), kernels=(runs.kernel(manifest={"series": {"hash": "another"}}),)),
            ],
            "different kernels 'krsi'",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(given: Sequence[Results], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        merge.join(parts(*given))


def test_kernels_that_were_tested_apart_become_one_report() -> None:
    one, other = runs.run(runs.item("lsm_a")), runs.run(runs.item("lsm_a", variant="upstream"))
    found = merge.join(parts(one, other))
    assert [kernel.variant for kernel in found.kernels] == ["krsi", "upstream"]


def lay_out(folder: Path, found: Results) -> Path:
    """A report's folder, as a run leaves it."""
    (folder / "krsi").mkdir(parents=True)
    (folder / "console-krsi.log").write_text(f"log of {found.id}\n")
    (folder / "krsi/lsm_a.ktap").write_text("KTAP version 1\n")
    (folder / "krsi/link").symlink_to("/etc/passwd")
    store.leave(folder, found)
    return folder


def test_merge_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [lay_out(tmp_path / f"r{number}", part(number)) for number in (3, 1)]
    output = tmp_path / "all"
    words = ["report", "merge", *map(str, folders), "--output", str(output)]
    assert cli.main(words) == 4
    said = capsys.readouterr().out
    assert "shard 2 is missing: their items are MISS" in said
    assert "2 reports: 12 pass, 8 miss" in said
    found = report.load(output)
    assert [kernel.consoles[0] for kernel in found.kernels][:1] == ["1-console-krsi.log"]
    for kernel in found.kernels[:1]:
        for name in kernel.consoles:
            assert (output / name).read_text().startswith("log of run-")
    assert (output / "3-krsi/lsm_a.ktap").is_file()
    assert not (output / "3-krsi/link").is_symlink()
    assert json.loads((output / "results.json").read_text())["version"] == {"major": 5, "minor": 3}
    assert cli.main(words) == 2
    assert "is not empty" in capsys.readouterr().err
