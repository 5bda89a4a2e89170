"""Whatever is read, nothing crashes its reader, and nothing broken is taken for a pass.

The examples are the same on every run.
"""

import contextlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kcidb_io.schema import LATEST

from harness import report
from harness.checks import check
from harness.errors import UsageError
from harness.kernel import kconfig
from harness.machine import boot
from harness.model import ROOT, Status
from harness.report import VariantRecord
from harness.run import selftests
from harness.run.selftests import Item, Selftest
from harness.trees import series
from harness.verdicts import files, ktap, splat
from harness.verdicts import verdict as judge
from harness.verdicts.verdict import Ending, Evidence, KnownFailure, Verdict

fuzz = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(fuzz, max_examples=12)

POLICY = splat.load_policy(ROOT / "policy")
SUBTESTS = ("a", "b", "c")
TEST = Selftest("lsm_x", SUBTESTS, ROOT / "lsm_x.c")
FINE = (Status.PASS, Status.SKIP)
STAMP = "[   12.345678] "

#: Words that mean something to one of the readers, between others that mean nothing.
WORDS = (
    *("KTAP version 1", "KTAP version 2", "ok ", "not ok ", "1..2", "1..", "# Subtest: lsm_x"),
    *("# running: a", "# SKIP", " # TIMEOUT after 1 s", "# ", "    ", "        ", "lsm_x", "a"),
    *("1 a", "2 b", "99999999999999999999", "9" * 5000, "\n", "\n    ", "\r\n", "\r", "\0"),
    *("\x1b[2J", "\ud7ff", "\u2028", "٣", "²", "[   12.345678] ", "[1.0", "WARNING: x"),
    *("krsi: begin lsm_x", "krsi: end lsm_x", "lsm_tests: lsm_x/a", "Call Trace:", "</TASK>"),
    *("---[ end trace 0 ]---", "------------[ cut here ]------------", "BUG: KASAN: x", "====="),
    *("RIP: 0010:f+0x1/0x2", "f+0xffffffffffffffffff/0x1", "unreferenced object 0x1", "CONFIG_"),
    *("CONFIG_A=y", "CONFIG_B=", '"', "\\", "=m", "# CONFIG_A is not set", "any", ":", "(", "[a-"),
    *(
        "diff --git a/x b/x",
        "@@ -1 +1 @@",
        "Subject: [PATCH 1/2] x",
        "=?utf-8?q?=ff?=",
        "=?x?b?!?=",
    ),
)
texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=25).map("".join)
garbage = st.one_of(texts, st.text(max_size=200))
outcomes = st.lists(st.sampled_from(["ok", "not ok", "skip", "absent"]), min_size=3, max_size=3)


def report_of(deeds: list[str], extra: str = "") -> str:
    """A report as the runner writes it, and honest about it."""
    lines, number, failed = [], 0, False
    for name, deed in zip(SUBTESTS, deeds, strict=True):
        if deed == "absent":
            continue
        number += 1
        failed |= deed == "not ok"
        word, directive = ("ok", " # SKIP tired") if deed == "skip" else (deed, "")
        lines += [f"    # running: {name}", f"    # said: {extra}", f"    {word} {number} {name}"]
        lines[-1] += directive
    head = ["KTAP version 1", "1..1", "    KTAP version 1", "    # Subtest: lsm_x"]
    tail = [f"    1..{number}", f"{'not ok' if failed else 'ok'} 1 lsm_x"]
    return "".join(f"{line}\n" for line in (*head, *lines, *tail))


def log_of(deeds: list[str], *more: str, end: bool = True) -> str:
    begun = [f"lsm_tests: lsm_x/{n}" for n, d in zip(SUBTESTS, deeds, strict=True) if d != "absent"]
    lines = ["krsi: begin lsm_x", *begun, *more, *(["krsi: end lsm_x"] if end else [])]
    return "".join(f"{STAMP}{line}\n" for line in lines)


def evidence(
    text: str, log: str, *, status: int = 0, wanted: tuple[Item, ...] = TEST.items
) -> Evidence:
    return Evidence(
        test=TEST,
        wanted=wanted,
        report=ktap.parse(files.text(text.encode("utf-8", "replace"))),
        log=log,
        splats=splat.scan(log, POLICY, TEST.name),
        ending=Ending.EXITED,
        status=status,
    )


def verdicts(found: Evidence) -> dict[str, Status]:
    reached = {item.subtest: judge.of_subtest(found, item).status for item in TEST.items[:-1]}
    return {**reached, "": judge.of_test([found]).status}


@fuzz
@given(garbage)
def test_ktap_takes_any_text(text: str) -> None:
    for name, result in ktap.parse(text).flat().items():
        assert isinstance(name, str)
        assert result.number >= 0


@pytest.mark.parametrize(
    "text",
    [
        "KTAP version " + "9" * 5000,
        "KTAP version 1\n1.." + "9" * 5000 + "\n",
        "KTAP version 1\n1..1\nok " + "9" * 5000 + " a\n",
        "".join(f"{'    ' * depth}KTAP version 1\n" for depth in range(1200)),
        "KTAP version 1\n" + "".join(f"ok {number} n{number}\n" for number in range(1, 50_000)),
        "ok" * 1_000_000,
    ],
    ids=["version", "plan", "number", "depth", "many", "long"],
)
def test_ktap_of_extremes(text: str) -> None:
    """Numbers that int() refuses, blocks deeper than the stack, more than fits a quadratic loop."""
    found = ktap.parse(text)
    assert found.problems
    found.flat()


@fuzz
@given(outcomes, garbage)
def test_an_honest_report_is_believed(deeds: list[str], extra: str) -> None:
    said = " ".join(files.text(extra.encode("utf-8", "replace")).split())
    found = evidence(report_of(deeds, said), log_of(deeds), status=int("not ok" in deeds))
    meant = {"ok": Status.PASS, "not ok": Status.FAIL, "skip": Status.SKIP, "absent": Status.MISS}
    reached = verdicts(found)
    assert [reached[name] for name in SUBTESTS] == [meant[deed] for deed in deeds]
    assert (reached[""] in FINE) == all(deed in ("ok", "skip") for deed in deeds)


@fuzz
@given(outcomes, st.data())
def test_a_truncated_report_gains_nothing(deeds: list[str], data: st.DataObject) -> None:
    whole = report_of(deeds)
    length = data.draw(st.integers(0, len(whole) - 1))
    before = verdicts(evidence(whole, log_of(deeds), status=int("not ok" in deeds)))
    after = verdicts(evidence(whole[:length], log_of(deeds)))
    assert after[""] not in FINE
    for name in SUBTESTS:
        assert after[name] in (before[name], Status.MISS)


@fuzz
@given(outcomes, garbage, st.data())
def test_a_damaged_line_gains_nothing(deeds: list[str], junk: str, data: st.DataObject) -> None:
    """Whether it becomes garbage, or what another line of the report says."""
    lines = report_of(deeds).splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.one_of(st.just(junk), st.sampled_from(lines)))
    damaged = "".join([*lines[:number], other, *lines[number + 1 :]])
    before = verdicts(evidence("".join(lines), log_of(deeds), status=int("not ok" in deeds)))
    for status in 0, int("not ok" in deeds):
        after = verdicts(evidence(damaged, log_of(deeds), status=status))
        for name, reached in after.items():
            if before[name] not in FINE:
                assert reached not in FINE, damaged
    if other.count("\n") > 1:
        return
    lost = {line for line in lines if line.strip().startswith(("ok", "not ok", "1..", "KTAP"))}
    if lines[number] in lost and damaged != "".join(lines):
        assert after[""] not in FINE, damaged


@fuzz
@given(garbage, garbage)
def test_what_was_not_reported_is_missing(text: str, log: str) -> None:
    found = evidence(text, log)
    names = found.report.flat()
    for item in TEST.items[:-1]:
        if item.name not in names:
            assert judge.of_subtest(found, item).status is Status.MISS
    if TEST.name not in names:
        assert judge.of_test([found]).status is Status.MISS


@fuzz
@given(garbage, garbage, st.sampled_from(list(Ending)), st.sampled_from([None, 0, 1, 137]))
def test_a_pass_has_every_proof(text: str, log: str, ending: Ending, status: int | None) -> None:
    for content in text, report_of(["ok", "ok", "ok"]) + text:
        base = evidence(content, log_of(["ok"] * 3) + log)
        found = Evidence(**{**vars(base), "ending": ending, "status": status})
        if judge.of_test([found]).status in FINE:
            assert (ending, status) in {(Ending.EXITED, 0), (Ending.RUNNING, 0)}
            assert not found.splats
            assert not found.report.problems
            assert all(result.ok for result in found.report.flat().values())


def test_a_test_that_passes_in_spite_of_its_subtest_fails() -> None:
    said = report_of(["ok", "not ok", "ok"]).replace("not ok 1 lsm_x", "ok 1 lsm_x")
    whole = judge.of_test([evidence(said, log_of(["ok"] * 3), wanted=(Item("lsm_x"),))])
    assert whole.status is Status.FAIL
    assert "'b' failed" in whole.message


@fuzz
@given(garbage, garbage)
def test_a_splat_is_found_wherever_it_is(before: str, after: str) -> None:
    """Behind anything, in the middle of a line and without an end."""
    log = files.text(
        f"{before}{STAMP}WARNING: CPU: 0 PID: 1 at x.c:1\n{after}".encode("utf-8", "replace")
    )
    assert splat.scan(log, POLICY)


@fuzz
@given(garbage)
def test_splats_take_any_text(log: str) -> None:
    for found in splat.scan(log, POLICY):
        assert found.title in found.lines
        assert found.line >= 1
        assert report.annotate(found, dict.fromkeys(found.frames, "x.c:1")).kind == found.kind
    splat.markers(log)
    splat.ended(log, "lsm_x")
    boot.judge(log, POLICY)


@fuzz
@given(garbage)
def test_a_boot_without_a_test_is_no_pass(console: str) -> None:
    if not any(line.lstrip().startswith("ok ") for line in console.splitlines()):
        assert boot.judge(console, POLICY)


def test_a_line_of_a_million_characters_takes_no_time() -> None:
    """Patterns that look for one word behind another would take hours for it."""
    line = "watchdog: " * 100_000
    assert splat.scan(f"{line}{STAMP}WARNING: x\n{line}", POLICY)


@fuzz
@given(st.binary(max_size=300), st.integers(0, 80), st.integers(0, 400))
def test_files_are_read_in_bounds(tmp_path: Path, data: bytes, limit: int, offset: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    part = files.read(path, limit, offset)
    rest = data[offset:]
    assert len(part.data) <= limit + 60
    assert part.end == max(len(data), offset)
    assert (part.data == rest) == (part.left_out == 0)
    assert (
        part.lines.data + files.read(path, 1000, part.lines.end).data == part.data or part.left_out
    )
    said = files.text(data)
    assert said == files.text(said.encode())
    assert all(char.isprintable() or char in "\n\t" or ord(char) > 159 for char in said)


@fuzz
@given(garbage)
def test_policies_take_any_text(text: str) -> None:
    with contextlib.suppress(UsageError):
        splat.parse_rules(text, "x")
    with contextlib.suppress(UsageError):
        splat.parse_allowed(text, "x", date(2026, 1, 1))
    with contextlib.suppress(UsageError):
        judge.parse_known(text, "x", date(2026, 1, 1))


@fuzz
@given(
    st.lists(st.builds(KnownFailure, *[st.sampled_from(["any", "krsi", "lsm_x", "lsm_x/a"])] * 3))
)
def test_only_a_failure_is_ever_excused(known: list[KnownFailure]) -> None:
    for status in Status:
        for item in TEST.items:
            reached = judge.excuse(Verdict(status), "krsi", item, known).status
            assert reached is status or status in (Status.FAIL, Status.PASS)
            assert reached is not Status.PASS or status is Status.PASS


@fuzz
@given(garbage)
def test_configurations_take_any_text(text: str) -> None:
    with contextlib.suppress(UsageError):
        read = kconfig.parse(text, "x")
        assert kconfig.parse(kconfig.render(read), "y") == read


values = st.one_of(
    st.sampled_from(["y", "m", "n", "-1", "0x1f"]),
    st.text("ab \\#='", max_size=9).map(json.dumps),
)


@fuzz
@given(st.dictionaries(st.from_regex(r"CONFIG_[A-Z0-9_]+", fullmatch=True), values))
def test_configurations_are_read_back(config: dict[str, str]) -> None:
    assert kconfig.parse(kconfig.render(config), "x") == config


@fuzz
@given(st.lists(st.one_of(st.binary(max_size=200), texts.map(str.encode)), max_size=4))
def test_a_series_takes_any_patch(tmp_path: Path, contents: list[bytes]) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    for number, content in enumerate(contents, 1):
        (tmp_path / f"{number:04}-x.patch").write_bytes(content)
    read = series.read(tmp_path)
    assert [patch.number for patch in read] == list(range(1, len(contents) + 1))
    assert series.digest(read)
    check.label_faults(read)
    for patch in read:
        assert "\n" not in patch.subject + patch.label
        assert series._hunk(patch.path, "x", 1)


@pytest.mark.parametrize("word", ["utf-8?q?=ff", "x?q?a", "utf-16?b?YQ==", "idna?q?=e9"])
def test_a_subject_that_cannot_be_decoded_is_refused(tmp_path: Path, word: str) -> None:
    (tmp_path / "0001-x.patch").write_text(f"Subject: =?{word}?=\n\n", "utf-8")
    with pytest.raises(UsageError, match=r"0001-x\.patch: its Subject"):
        series.read(tmp_path)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    noise = b"\xff\xfe\n"
    for name in "splat-deny.txt", "splat-allow.txt", series.REMOVAL, series.MADE_ON, "x.config":
        (tmp_path / name).write_bytes(noise)
    for read in splat.load_policy, lambda folder: kconfig.read(folder / "x.config"):
        with pytest.raises(UsageError):
            read(tmp_path)
    with pytest.raises(UsageError):
        series.count_removal(series.removal_subjects(tmp_path), ("x",))
    assert series.made_on(tmp_path) not in ("", "6.12.7")


@fuzz
@given(garbage, st.lists(garbage, max_size=3))
def test_a_stale_removal_is_refused(tmp_path: Path, text: str, subjects: list[str]) -> None:
    (tmp_path / series.REMOVAL).write_text(text, "utf-8")
    with contextlib.suppress(UsageError):
        listed = series.removal_subjects(tmp_path)
        assert series.count_removal(listed, tuple(subjects)) == len(listed) <= len(subjects)


@fuzz
@given(garbage)
def test_sources_take_any_text(text: str) -> None:
    assert len(set(selftests.scan(text))) == len(selftests.scan(text))


splats = st.builds(
    splat.Splat, garbage, garbage, garbage, st.integers(1), st.tuples(garbage, garbage)
)
reached = st.builds(
    Verdict,
    st.sampled_from(list(Status)),
    garbage,
    st.tuples(garbage),
    st.tuples(splats),
    st.floats(0, 9),
)


@fuzz
@given(reached)
def test_results_are_read_back(tmp_path: Path, verdict: Verdict) -> None:
    record = VariantRecord(
        name="krsi",
        release=verdict.message,
        error=verdict.message,
        notes=verdict.details,
        consoles=(),
        verdicts={Item("lsm_x", "a"): verdict},
        strays=verdict.splats,
        manifest={},
    )
    found = report.collect(
        [record],
        suite="krsi",
        outcomes={},
        accel="tcg",
        cpus=2,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1,
        exit_code=1,
    )
    report.leave(tmp_path, found)
    assert report.load(tmp_path) == found
    (case,) = ET.parse(tmp_path / "junit.xml").getroot().findall(".//testcase[@name='lsm_x/a']")
    bad = case.find("failure") is not None or case.find("error") is not None
    assert bad == (verdict.status not in judge.FINE)
    assert ktap.parse((tmp_path / "results.ktap").read_text("utf-8")).problems == ()
    LATEST.validate(json.loads((tmp_path / "results.json").read_text("utf-8")))
