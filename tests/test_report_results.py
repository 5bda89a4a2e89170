"""results.json: a KCIDB document that says all that we know, and is read back as it was."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kcidb_io.schema import LATEST

import runs
from harness import report
from harness.bench.record import Case, Measured, Record, to_json
from harness.errors import UsageError
from harness.model import Life, Status
from harness.report import figures, kcidb, results, store
from harness.report.results import Shard, VariantRecord
from harness.run.parity import Outcome
from harness.run.selftests import Item
from harness.trees.series import digest, read
from harness.verdicts.verdict import Verdict

RECORD = VariantRecord(
    name="krsi",
    release="6.12.1",
    error="",
    notes=("slow",),
    consoles=(Path("/r/console-krsi.log"),),
    verdicts={
        Item("lsm_x", "a"): Verdict(Status.SPLAT, "why", ("said",), (runs.SPLAT,), 1.5, 17.0),
        Item("lsm_x"): Verdict(Status.PASS),
    },
    strays=(runs.SPLAT,),
    manifest={"series": {"hash": "abc"}},
    earlier=({Item("lsm_x"): Verdict(Status.CRASH)},),
    machines=(Life("console-krsi.log", 1, 2, 3),),
)


def document(found: results.Results) -> dict[str, Any]:
    """What stands in the file."""
    content: dict[str, Any] = json.loads(json.dumps(kcidb.pack(found)))
    return content


def by_path(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {test["path"]: test for test in reversed(content["tests"])}


def test_what_sessions_tell_becomes_results() -> None:
    found = report.collect(
        [RECORD],
        suite="krsi",
        outcomes={"krsi": {"a": Outcome(Status.FAIL), "a/b": Outcome(Status.SKIP, "tired")}},
        accel="tcg (why)",
        cpus=4,
        started=runs.START,
        seconds=3.14159,
        exit_code=1,
    )
    seen = [(item.name, item.round, item.status) for item in found.items]
    assert seen == [
        ("lsm_x", 1, Status.CRASH),
        ("lsm_x/a", 2, Status.SPLAT),
        ("lsm_x", 2, Status.PASS),
    ]
    assert found.items[1].started == 17
    assert [(each.name, each.why) for each in found.subtests] == [("a/b", "tired")]
    (kernel,) = found.kernels
    assert (kernel.consoles, kernel.notes) == (("console-krsi.log",), ("slow",))
    assert (kernel.strays, kernel.machines) == (RECORD.strays, RECORD.machines)
    assert found.flaky() == {("krsi", "lsm_x"): (Status.CRASH, Status.PASS)}
    assert found.worst()["krsi", "lsm_x"].status is Status.CRASH


@pytest.mark.parametrize(
    "found",
    [
        runs.rich(),
        runs.run(),
        runs.run(runs.item("lsm_x"), kernels=(runs.kernel(manifest={}, release="", error="no"),)),
        replace(runs.rich(), shard=Shard(2, 3, {"krsi": ("lsm_y", "lsm_y/a")})),
    ],
    ids=["rich", "empty", "unbuilt", "shard"],
)
def test_kernelci_takes_it_and_nothing_is_lost(found: results.Results) -> None:
    content = document(found)
    assert LATEST.is_valid_exactly(content)
    assert kcidb.unpack(content) == found


def test_kernelci_takes_what_is_hostile() -> None:
    hostile = '\0\x1b[31mred\ud800 ../../etc/"<script>' + "x" * 40_000
    found = runs.run(
        runs.item("lsm_x/" + hostile, "fail", message=hostile, diagnostics=(hostile,)),
        kernels=(runs.kernel(error=hostile, manifest={"toolchain": {"gcc": hostile}}),),
    )
    LATEST.validate(document(found))


def test_statuses_and_paths() -> None:
    tests = by_path(document(runs.run(*runs.every_status())))
    assert {path: test["status"] for path, test in tests.items()} == {
        "krsi": "FAIL",
        "krsi.lsm_attach.pin": "PASS",
        "krsi.lsm_attach": "PASS",
        "krsi.lsm_lifetime.netns": "FAIL",
        "krsi.lsm_lifetime": "FAIL",
        "krsi.lsm_files.extended_attributes": "FAIL",
        "krsi.lsm_nomem": "SKIP",
        "krsi.lsm_scale.leaks": "FAIL",
        "krsi.lsm_race.exit": "FAIL",
        "krsi.lsm_race.later": "MISS",
        "krsi.lsm_talk": "ERROR",
        "krsi.lsm_known.x": "FAIL",
    }
    failed = tests["krsi.lsm_lifetime.netns"]
    assert failed["log_excerpt"] == f"rounds: 4\n{runs.FAILED}"
    assert failed["start_time"] == "2026-01-02T11:00:12.000+00:00"
    assert failed["misc"]["logs"] == ["console-krsi.log"]
    assert "log_excerpt" not in tests["krsi.lsm_attach.pin"]


def test_an_expected_failure_names_its_issue() -> None:
    content = document(runs.run(*runs.every_status()))
    ((issue,), (incident,)) = content["issues"], content["incidents"]
    assert issue["comment"] == "bug 17 (actual 0 != 1)"
    assert incident["issue_id"] == issue["id"]
    assert incident["test_id"] == by_path(content)["krsi.lsm_known.x"]["id"]
    only = document(runs.run(runs.item("lsm_known/x", "xfail"), runs.item("lsm_y")))
    assert by_path(only)["krsi"]["status"] == "PASS"


@pytest.mark.parametrize(
    ("kernel", "items", "status"),
    [
        (runs.kernel(), [runs.item("lsm_x")], "PASS"),
        (runs.kernel(strays=(runs.SPLAT,)), [runs.item("lsm_x")], "FAIL"),
        (runs.kernel(error="did not boot"), [runs.item("lsm_x", "skip")], "MISS"),
        (runs.kernel(), [], "MISS"),
    ],
)
def test_a_run_is_as_good_as_its_worst_part(
    kernel: results.Kernel, items: list[results.Result], status: str
) -> None:
    content = document(runs.run(*items, kernels=(kernel,)))
    assert by_path(content)["krsi"]["status"] == status


def test_a_build_is_what_the_manifest_says() -> None:
    content = document(runs.run(runs.item("lsm_x")))
    (build,), (checkout,) = content["builds"], content["checkouts"]
    assert build["checkout_id"] == checkout["id"]
    assert build["config_name"] == "krsi"
    assert build["compiler"] == "gcc (Debian 12.2.0-14+deb12u1) 12.2.0"
    assert build["duration"] == 51.5
    assert checkout["git_commit_name"] == "v6.12.117"
    assert checkout["comment"] == "Linux 6.12.117, series d942fb52696e58530aba"
    again = document(runs.run(runs.item("lsm_y"), id="another"))
    assert again["builds"][0]["id"] == build["id"]
    assert again["tests"][0]["id"] != content["tests"][0]["id"]


def test_the_patchset_is_named_only_where_it_is_this_one(tmp_path: Path) -> None:
    (tmp_path / "0001-x.patch").write_text("Subject: [PATCH 1/1] x\n\n")
    ours = digest(read(tmp_path))
    kernels = (
        runs.kernel(manifest={"series": {"hash": ours}}),
        runs.kernel("debug", manifest={"series": {"hash": ours, "edited": True}}),
        runs.kernel("audit", manifest={"series": {"hash": "another"}}),
        runs.kernel("none", manifest={"series": {"hash": ours}}),
        runs.kernel("upstream"),
    )
    known = store.patchsets(runs.run(kernels=kernels), tmp_path)
    # sha256sum *.patch | cut -c-64 | sha256sum | cut -c-64
    assert known == {
        "krsi": "042c13b7e60c77a5085a37f4c27887b9d5cf986e265726ea7972158a6360b555",
        "upstream": "",
    }


def test_figures_of_the_same_kernel_are_results_that_are_done(tmp_path: Path) -> None:
    latest, folder = tmp_path / "latest", tmp_path / "report"
    cases = {
        "mprotect/noop-1": Case({"calls": 16, "min": 3200, "median": 3200, "max": 4000}),
        "links/one/attach": Case({"ns": 47_000}),
        "x/idle": Case(unavailable="no such call"),
    }
    record = Record("2026", "QEMU", (Measured("krsi", runs.MANIFEST, {}, cases),))
    for path in latest, folder:
        path.mkdir()
    (latest / "bench.json").write_text(to_json(record))
    found = runs.run(runs.item("lsm_x"))
    other = runs.run(kernels=(runs.kernel(manifest={**runs.MANIFEST, "configuration": "0"}),))
    figures.adopt(folder, other, latest)
    assert figures.beside(folder) is None
    figures.adopt(folder, found, latest)
    store.leave(folder, found)
    content = json.loads((folder / "results.json").read_text())
    assert LATEST.is_valid_exactly(content)
    done = {test["path"]: test["number"] for test in content["tests"] if test["status"] == "DONE"}
    assert done == {
        "bench.mprotect.noop-1": {"value": 200, "unit": "instructions"},
        "bench.links.one.attach": {"value": 47000, "unit": "virtual ns"},
    }
    assert report.load(folder) == found


def test_a_file_of_before_is_read(tmp_path: Path) -> None:
    plain = results.to_plain(runs.rich())
    for name in ("id", "shard", "subtests"):
        del plain[name]
    del plain["environment"]["options"]
    for each in plain["items"]:
        del each["started"]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**plain, "schema": 1}))
    assert [item.status for item in report.load(path).items] == [
        item.status for item in runs.rich().items
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 99}', '{"schema": 1}', '{"version": {"major": 5}, "tests": []}'],
)
def test_a_file_of_something_else_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"results\.json is no results\.json of ours"):
        report.load(path)
    with pytest.raises(UsageError, match="No such file"):
        report.load(tmp_path / "nothing.json")
