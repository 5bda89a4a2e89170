"""The bot's answer: a mail that lands in its thread, and JSON; and what is no pass."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_string
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bot import letter
from harness.bot.answer import Answer, settle, worst
from harness.bot.limits import Limited
from harness.bot.mail import Mail, parse
from harness.bot.threads import Series
from harness.model import Status
from letters import ADA, DIFF, SIGNED

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
COVER = Mail(
    b"",
    message_id="<c@x>",
    subject="[PATCH v2 0/2] A thing, größer",
    sender=ADA,
    to=("list@example.org", ADA),
    cc=("B <b@example.org>",),
)
PATCHES = tuple(
    Mail(
        b"",
        message_id=f"<p{n}@x>",
        subject=f"[PATCH v2 {n}/2] part {n}",
        sender=ADA,
        body=SIGNED + DIFF,
    )
    for n in (1, 2)
)
SERIES = Series(2, 2, COVER, PATCHES, notes=("version 2 takes the place of version 1",))


def answered(status: Status = Status.PASS, series: Series = SERIES) -> Answer:
    found = Answer.to(series, "base")
    found.base = "Linux 6.12.7 (123456789abc)"
    for check in found.checks:
        check.status = status
    return found


def test_it_lands_in_the_thread() -> None:
    said = message_from_string(letter.text(answered(), "logs", NOW))
    assert said["In-Reply-To"] == said["References"] == "<c@x>"
    assert str(make_header(decode_header(said["Subject"]))) == "Re: [PATCH v2 0/2] A thing, größer"
    assert said["To"] == ADA
    assert said["Cc"].split() == ["list@example.org,", "B", "<b@example.org>"]
    assert said["Date"] == "Tue, 03 Feb 2026 04:05:06 +0000"


def test_without_a_cover_letter_the_first_patch_is_answered() -> None:
    first = replace(PATCHES[0], parents=("<old@x>",))
    series = replace(SERIES, cover=None, patches=(first, PATCHES[1]))
    said = message_from_string(letter.text(answered(series=series), "logs", NOW))
    assert said["In-Reply-To"] == "<p1@x>"
    assert said["References"].split() == ["<old@x>", "<p1@x>"]


def test_without_any_message_id_there_is_no_thread() -> None:
    series = replace(SERIES, cover=replace(COVER, message_id=""))
    said = message_from_string(letter.text(answered(series=series), "logs", NOW))
    assert said["In-Reply-To"] is None
    assert said["References"] is None


def test_it_says_what_failed_where_and_what_was_limited() -> None:
    found = answered()
    bad = found.check("builds", 2)
    settle(bad, ["kernel/one.c:3: error: no", "x" * 1000])
    bad.limited = (Limited("time", "ended after 6 s"),)
    bad.log = "0002-build.log"
    found.check("boot").status = found.check("tests").status = Status.MISS
    said = letter.text(found, "/r/logs", NOW)
    assert "1 of 16 checks FAILED, and 2 could not be made" in " ".join(said.split())
    for words in (
        "2/2 builds: the kernel",
        "  kernel/one.c:3: error: no\n",
        "  2/2 builds: time: ended after 6 s\n",
        "log: 0002-build.log",
        "Logs: /r/logs",
        "part 2",
        "boot not run",
    ):
        assert words in said
    assert max(map(len, said.splitlines())) < 310
    content = letter.content(found)
    assert content["limited"] == [
        {"check": "builds", "patch": 2, "what": "time", "how": "ended after 6 s"}
    ]
    assert content["exit_code"] == 3


def test_prose_is_wrapped() -> None:
    found = answered()
    found.bounds = ("Bounds: " + "word " * 60,)
    found.error = "a reason " * 40
    body = letter.body(found, "logs")
    assert max(map(len, body.splitlines())) <= 72


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"tests": Status.SKIP}, 0),
        ({"tests": Status.MISS}, 1),
        ({"tests": Status.FAIL}, 1),
        ({"boot": Status.FAIL}, 1),
        ({"checkpatch": Status.FAIL, "applies": Status.FAIL}, 3),
        ({"tools": Status.FAIL}, 3),
    ],
)
def test_exit_codes(changes: dict[str, Status], code: int) -> None:
    found = answered()
    for check in found.checks:
        check.status = changes.get(check.name, check.status)
    assert found.exit_code == code
    found.error = "the disk is gone"
    assert found.exit_code == 4


def test_nothing_looked_at_is_no_pass() -> None:
    assert Answer.to(SERIES, "base").exit_code == 1


def test_of_several_answers_the_worst_counts() -> None:
    assert [worst(codes) for codes in ([], [0, 0], [0, 1], [1, 3], [3, 4, 0])] == [0, 0, 1, 3, 4]


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_nobody_writes_our_headers(subject: str, sender: str, title: str, detail: str) -> None:
    """Whatever a stranger calls itself: the mail has our headers, each once, and our text."""
    raw = f"Subject: [PATCH] {subject}\nFrom: {sender} <a@b.c>\nMessage-ID: <i@x>\n\n{SIGNED}{DIFF}"
    found = parse(raw.encode("utf-8", "replace"))
    if found is None:
        return
    series = Series(1, 1, None, (replace(found, subject=f"[PATCH] {found.title}"),))
    series = replace(series, notes=(title,))
    answer = answered(series=series)
    settle(answer.check("boot"), [detail])
    said = message_from_string(letter.text(answer, "logs", NOW))
    assert not set(said.keys()) - {
        *("From", "To", "Cc", "Subject", "Date", "In-Reply-To", "References", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    }
    assert len(said.keys()) == len(set(said.keys()))
    assert said["From"] == letter.SENDER
    assert str(said.get_payload()).startswith("An automatic answer.")
    assert "\x1b" not in str(said)
