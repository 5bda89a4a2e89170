"""Splats: golden logs of the kernel, and policy that cannot be read."""

import json
from datetime import date
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model import ROOT
from harness.verdicts import splat

DATA = Path(__file__).parent / "data/splat"
LAST = date(2026, 6, 30)
LOGS = sorted(DATA.glob("*.log"))


@pytest.fixture(scope="module")
def policy() -> splat.Policy:
    return splat.load_policy(ROOT / "policy")


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_golden(path: Path, policy: splat.Policy) -> None:
    found = [
        {
            "kind": each.kind,
            "title": each.title,
            "section": each.section,
            "line": each.line,
            "count": len(each.lines),
            "last": each.lines[-1],
            "frames": [[frame.function, frame.offset] for frame in each.frames],
        }
        for each in splat.scan(path.read_text(), policy)
    ]
    assert found == json.loads(path.with_suffix(".json").read_text())


def test_lines_before_the_first_marker_are_charged_to_whom_the_caller_says(
    policy: splat.Policy,
) -> None:
    (found,) = splat.scan("WARNING: early\n", policy, "lsm_order")
    assert found.section == "lsm_order"
    (found,) = splat.scan("WARNING: early\n", policy)
    assert found.section == splat.BOOT


def test_after_its_end_a_test_is_still_charged(policy: splat.Policy) -> None:
    (found,) = splat.scan("krsi: begin a\nlsm_tests: a/b\nkrsi: end a\nWARNING: late\n", policy)
    assert found.section == "a"


def rules(kind: str, day: date = LAST) -> tuple[splat.Rule, ...]:
    """One rule that counts until the end of June."""
    text = f"# harmless\n{kind} until 2026-06-30: bpf_lsm_link_attach\\+"
    return splat.parse_allowed(text, "allow.txt", day)


def test_allowed_by_any_line_of_the_splat(policy: splat.Policy) -> None:
    log = (DATA / "warning.log").read_text()
    allow = rules("warning")
    assert splat.scan(log, splat.Policy(policy.deny, allow)) == ()
    other = rules("kasan")
    assert len(splat.scan(log, splat.Policy(policy.deny, other))) == 1


@pytest.mark.parametrize(
    "text", ["no colon", "kind:", ": pattern", "kind: (unbalanced", "ok: fine\nkind: ["]
)
def test_bad_policy_names_file_and_line(text: str) -> None:
    with pytest.raises(UsageError, match=rf"deny.txt:{len(text.splitlines())}:"):
        splat.parse_rules(text, "deny.txt")


def test_unreadable_policy_fails(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"splat-deny\.txt"):
        splat.load_policy(tmp_path)
    (tmp_path / "splat-deny.txt").write_text("# nothing\n")
    (tmp_path / "splat-allow.txt").write_text("")
    with pytest.raises(UsageError, match="no rule"):
        splat.load_policy(tmp_path)


@pytest.mark.parametrize(
    ("line", "stripped"),
    [
        ("[    1.000000] text", "text"),
        ("[12345.000000][  T42] text", "text"),
        ("[    1.000000][    C1]  indented", " indented"),
        ("text", "text"),
        ("", ""),
    ],
)
def test_strip_stamp(line: str, stripped: str) -> None:
    assert splat.strip_stamp(line) == stripped


def test_frames_tell_instructions_from_return_addresses() -> None:
    rip = splat.frame_of("RIP: 0010:foo+0x12/0x60")
    ret = splat.frame_of("  bar.isra.0+0xff/0x100 [module]")
    assert rip == splat.Frame("foo", 0x12, 0x60, is_return=False)
    assert ret == splat.Frame("bar.isra.0", 0xFF, 0x100, is_return=True)
    assert splat.frame_of("RIP: 0033:0x7f0a5c11e2b9") is None
    assert splat.frame_of("an ordinary line") is None


def test_markers_and_end() -> None:
    log = (DATA / "warning.log").read_text()
    assert splat.markers(log) == (
        "lsm_attach",
        "lsm_attach",
        "lsm_attach/close",
        "lsm_attach/pin",
        "lsm_attach/kill",
        "lsm_attach",
    )
    assert splat.ended(log, "lsm_attach")
    assert not splat.ended(log, "lsm_attac")


def test_what_is_forgiven_is_not_forgiven_for_ever(policy: splat.Policy) -> None:
    log = (DATA / "warning.log").read_text()
    late = rules("warning", date(2026, 7, 1))
    (found,) = splat.scan(log, splat.Policy(policy.deny, late))
    assert found.lines[-1] == "allow.txt:2 has expired on 2026-06-30: harmless"
    assert splat.scan(log, splat.Policy(policy.deny, (*late, *rules("any")))) == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("warning: x", "says not until when"),
        ("warning until 2026-06-30: (", "bad regular expression"),
        ("warning until then: x", "'then' is no date"),
        ("warning x until 2026-06-30: y", "expected 'kind"),
    ],
)
def test_a_malformed_excuse_is_named(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"^allow.txt:2: .*{why}"):
        splat.parse_allowed(f"# because\n{line}\n", "allow.txt", date(2026, 1, 1))


def test_an_excuse_says_why() -> None:
    text = "# The head of the file.\n\nwarning until 2026-06-30: x\n"
    with pytest.raises(UsageError, match=r"^allow\.txt:3: say in a comment"):
        splat.parse_allowed(text, "allow.txt", date(2026, 1, 1))
