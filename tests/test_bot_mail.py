"""The bot reads mails: what is a series in what comes, and nothing that comes breaks it."""

import base64
import io
import os
import quopri
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.bot import intake, mail, manners, threads
from harness.bot.threads import Series
from harness.errors import UsageError
from letters import ADA, DIFF, SIGNED, letter, mbox, save, thread


def planned(*mails: bytes) -> tuple[Series, ...]:
    return threads.plan(mail.read(mail.split(io.BytesIO(mbox(*mails)))))


def one(*mails: bytes) -> Series:
    (series,) = planned(*mails)
    return series


def titles(series: Series) -> list[str]:
    return [each.title for each in series.patches]


@pytest.mark.parametrize(
    ("subject", "tag"),
    [
        ("[PATCH] x", (1, 1, 1)),
        ("[PATCH 3/7] x", (1, 3, 7)),
        ("[PATCH bpf-next v2 03/17] bpf: x", (2, 3, 17)),
        ("[bpf-next PATCH v12 0/2] x", (12, 0, 2)),
        ("[RFC PATCHv3 1/2] x", (3, 1, 2)),
        ("[RFC] [PATCH,v4,2/2] x", (4, 2, 2)),
        ("  [PATCH   2/3]x", (1, 2, 3)),
    ],
)
def test_a_subject_says_which_patch_it_is(subject: str, tag: tuple[int, int, int]) -> None:
    found = mail.read_tag(subject)
    assert found is not None
    assert (found.version, found.number, found.total) == tag


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "x",
        "[GIT PULL] x",
        "Re: [PATCH 1/2] x",
        "RE:[PATCH] x",
        "Fwd: [PATCH] x",
        "x [PATCH]",
        "[",
    ],
)
def test_what_is_no_patch_is_none(subject: str) -> None:
    assert mail.read_tag(subject) is None


def test_order_comes_from_the_numbers() -> None:
    cover, *patches = thread(12)
    series = one(*reversed(patches), cover)
    assert titles(series) == [f"patch {n}" for n in range(1, 13)]
    assert series.head.message_id == "<a0@x>"
    assert manners.completeness(series) == ()


def test_answers_are_left_aside() -> None:
    cover, first = thread(1)
    answer = letter("Re: [PATCH 1/1] patch 1", id_="r", parent="a1", body=f"> {DIFF}\nNack.")
    series = one(cover, answer, first, letter("lunch?", id_="l"))
    assert titles(series) == ["patch 1"]


def test_a_missing_patch_is_named() -> None:
    cover, first, _, third, _ = thread(4)
    series = one(cover, first, third)
    assert series.missing == (2, 4)
    assert manners.completeness(series) == ("missing: 2/4, 4/4",)


def test_two_mails_for_one_patch_are_a_fault_and_one_mail_twice_is_none() -> None:
    cover, first, second = thread(2)
    again = letter("[PATCH 2/2] another 2", id_="other", parent="a0")
    assert one(cover, first, second, second).faults == ()
    assert "two mails" in one(cover, first, second, again).faults[0]


def test_two_series_are_told_apart() -> None:
    first, second = thread(2), thread(2, prefix="b")
    second[0] = letter("[PATCH 0/2] Another", id_="b0", body="Hello.")
    mixed = [each for pair in zip(first, second, strict=True) for each in pair]
    assert [series.title for series in planned(*mixed)] == ["A series", "Another"]
    assert all(manners.completeness(series) == () for series in planned(*mixed))


def test_the_last_version_is_taken() -> None:
    (series,) = planned(*thread(3, version="v2", prefix="b"), *thread(2))
    assert (series.version, series.total) == (2, 3)
    assert "takes the place of version 1" in series.notes[0]


def test_a_version_that_answers_the_one_before_is_the_same_series() -> None:
    renamed = thread(1, version="v2", prefix="b", parent="a0")
    renamed[0] = letter("[PATCH v2 0/1] A new name", id_="b0", parent="a0", body="Hello.")
    assert one(*thread(1), *renamed).title == "A new name"


def test_a_partial_reroll_is_laid_over_the_version_before() -> None:
    again = letter("[PATCH v2 2/3] patch 2, better", id_="c2", parent="a0")
    series = one(*thread(3), again)
    assert titles(series) == ["patch 1", "patch 2, better", "patch 3"]
    assert series.missing == ()
    assert "the patches that it lacks: 1, 3" in series.notes[0]


def test_a_chain_of_replies_is_one_thread() -> None:
    """As git send-email --chain-reply-to sends, and without References."""
    mails = [
        letter(f"[PATCH {n}/3] patch {n}", id_=f"c{n}", parent=f"c{n - 1}" if n > 1 else "")
        for n in (1, 2, 3)
    ]
    assert titles(one(*reversed(mails))) == ["patch 1", "patch 2", "patch 3"]


def test_patches_without_a_thread_belong_together() -> None:
    """As git format-patch leaves them, and as a mailer sends them that knows no better."""
    bare = [letter(f"[PATCH {n}/2] patch {n}") for n in (1, 2)]
    assert titles(one(*bare)) == ["patch 1", "patch 2"]
    apart = [letter(f"[PATCH {n}/2] patch {n}", id_=f"m{n}") for n in (1, 2)]
    assert titles(one(*apart)) == ["patch 1", "patch 2"]
    assert len(planned(letter("[PATCH] one"), letter("[PATCH] two"))) == 2


def test_a_loop_of_replies_ends() -> None:
    mails = [
        letter("[PATCH 1/2] 1", id_="a", parent="b"),
        letter("[PATCH 2/2] 2", id_="b", parent="a"),
    ]
    assert planned(*mails)


def test_no_patch_is_a_wrong_input() -> None:
    with pytest.raises(UsageError, match="none of 1 mails is a patch"):
        planned(letter("hello", id_="a", body="no diff"))
    with pytest.raises(UsageError, match="holds no mail"):
        mail.read(mail.split(io.BytesIO(b"\n\n")))


@pytest.mark.parametrize("how", ["base64", "quoted-printable", "latin-1", "multipart"])
def test_mime_is_decoded(how: str) -> None:
    text = SIGNED.replace("Because", "Grüße") + DIFF
    if how == "base64":
        body, headers = base64.encodebytes(text.encode()), b"Content-Transfer-Encoding: base64\n"
    elif how == "quoted-printable":
        body = quopri.encodestring(text.encode())
        headers = b"Content-Transfer-Encoding: quoted-printable\n"
    elif how == "latin-1":
        body = text.encode("latin-1")
        headers = b"Content-Type: text/plain; charset=iso-8859-1\n"
    else:
        body = b"--B\nContent-Type: text/plain; charset=utf-8\n\n" + text.encode() + b"\n--B--\n"
        headers = b"Content-Type: multipart/mixed; boundary=B\n"
    headers += b"MIME-Version: 1.0\n" + (
        b"" if how in ("latin-1", "multipart") else b"Content-Type: text/plain; charset=utf-8\n"
    )
    raw = (
        b"From: x@example.org\nSubject: =?utf-8?q?=5BPATCH=5D_caf=C3=A9?=\n"
        + headers
        + b"\n"
        + body
    )
    found = mail.parse(raw)
    assert found is not None
    assert found.title == "café"
    assert "Grüße" in found.body
    assert found.has_diff
    assert found.signed == (ADA,)
    assert [each.path for each in manners.touched(found.body)] == ["kernel/one.c"]


def test_lines_that_begin_with_from_do_not_cut_a_mail() -> None:
    body = "Hello.\n\nFrom here on it is easy.\n\n" + DIFF
    (raw,) = mail.split(io.BytesIO(mbox(letter("[PATCH] x", body=body))))
    assert raw.endswith(DIFF.encode() + b"\n\n")


def test_nobody_is_addressed_who_is_not_there() -> None:
    more = 'To: "Comma, Ms" <c@example.org>, undisclosed:;\n'
    more += "Cc: =?utf-8?q?J=C3=B6rg=0ABcc=3A?= <j@example.org>\n"
    found = mail.parse(letter("[PATCH] x", more=more))
    assert found is not None
    assert found.to == ('"Comma, Ms" <c@example.org>',)
    assert len(found.cc) == 1
    assert "\n" not in found.cc[0]


def test_a_name_that_nobody_has_encoded_is_kept() -> None:
    found = mail.parse(letter("[PATCH] x", sender="Jörg Ä <j@example.org>"))
    assert found is not None
    assert found.sender == "=?utf-8?b?SsO2cmcgw4Q=?= <j@example.org>"


class Endless(io.BytesIO):
    """A pipe that never ends, and counts what is taken from it."""

    def __init__(self, line: bytes) -> None:
        super().__init__()
        self.line = line
        self.taken = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        del size
        self.taken += len(self.line)
        return self.line


@pytest.mark.parametrize(
    "line", [b"x" * 1000 + b"\n", b"x" * 65536, b"From a@b Mon Sep 17 00:00:00 2001\n\n"]
)
def test_an_endless_mbox_is_refused_after_its_limit(line: bytes) -> None:
    stream = Endless(line)
    with pytest.raises(UsageError, match=r"more than \d+ (bytes|mails)"):
        for _ in mail.split(stream, most_bytes=1 << 20):
            pass
    assert stream.taken <= (1 << 20) + len(line)


def test_many_mails_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 1000 mails"):
        list(mail.split(io.BytesIO(mbox(*[letter("[PATCH] x")] * 1001))))


def test_a_gigabyte_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "large.mbox"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match=r"large.mbox: more than \d+ bytes"):
        list(intake.of_source(str(path)))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing"):
        with pytest.raises(UsageError, match=name):
            list(intake.of_source(str(tmp_path / name)))
    with pytest.raises(UsageError, match="regular file"):
        list(intake.of_source("/dev/zero"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="neither a maildir"):
        list(intake.of_source(str(tmp_path / "empty")))


def test_a_maildir_and_a_folder_of_patches_are_read(tmp_path: Path) -> None:
    cover, first, second = thread(2)
    save(tmp_path / "m/cur/1:2,S", first)
    save(tmp_path / "m/new/2", second)
    save(tmp_path / "m/new/3", cover)
    save(tmp_path / "m/tmp/4", b"half a mai")
    save(tmp_path / "p/0001-x.patch", mbox(first))
    save(tmp_path / "p/0002-y.eml", second)
    save(tmp_path / "p/0000-cover-letter.patch", mbox(cover))
    save(tmp_path / "p/notes.md", b"# not a mail")
    for folder in ("m", "p"):
        (series,) = threads.plan(mail.read(intake.of_source(str(tmp_path / folder))))
        assert titles(series) == ["patch 1", "patch 2"]
        assert series.cover is not None


def test_standard_input_is_read() -> None:
    stream = io.BytesIO(mbox(*thread(1)))
    assert len(list(intake.of_source("-", stream))) == 2


@pytest.mark.parametrize("depth", [100, 3000])
def test_deep_nesting_is_no_patch(depth: int) -> None:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth)
    )
    assert mail.parse(b"Subject: [PATCH] x\n" + parts + b"x\n" * 1_000_000) is None


def test_a_line_that_is_nearly_the_start_of_a_mail_takes_no_time() -> None:
    """Hours, if what is repeated in it were tried in all ways."""
    line = b"From x " + b"00:00:00" * 500_000 + b"\n"
    assert list(mail.split(io.BytesIO(line))) == [line]


def test_a_folder_has_no_more_mails_than_an_mbox(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.mbox", mbox(*[b"Subject: x\n\nx\n"] * 400))
    with pytest.raises(UsageError, match="more than 1000 mails"):
        list(intake.of_source(str(tmp_path)))


WORDS = st.sampled_from(
    [
        *(b"From a@b Mon Sep 17 00:00:00 2001\n", b"From: a@b\n", b"Subject: [PATCH 1/2] x\n"),
        *(b"Subject: Re: ", b"Subject: =?utf-8?b?", b"?=", b"\n\n", b"\n", b"--B\n", b"--B--\n"),
        *(b"Content-Type: multipart/mixed; boundary=B\n", b"Content-Transfer-Encoding: base64\n"),
        *(
            b"Content-Type: text/plain; charset=\xff\n",
            b"Message-ID: <a@b>\n",
            b"[PATCH v9999 9999/9999]",
        ),
        *(b"In-Reply-To: <a@b>\n", b"To: a@b, <c@d\n", b"Content-Type: message/rfc822\n", b"\x00"),
        *(
            DIFF.encode(),
            b"diff --git a/../x b/.git/x\n",
            b"+++ /etc/passwd\n",
            b"@@ -1,99999999999 +1 @@\n",
        ),
    ]
)


def _survives(data: bytes) -> Sequence[Series]:
    try:
        return threads.plan(mail.read(mail.split(io.BytesIO(data))))
    except UsageError:
        return ()


@settings(deadline=None)
@given(st.lists(WORDS | st.binary(max_size=40), max_size=30).map(b"".join))
@example(b"From: =?utf-8?q?=00?= <a@b>\nSubject: [PATCH]\n\n" + DIFF.encode())
def test_no_input_breaks_the_reading(data: bytes) -> None:
    for series in _survives(data):
        manners.completeness(series)
        for each in series.patches:
            manners.path_faults(manners.touched(each.body))
            manners.sign_off_faults(each)
            for text in (
                each.subject,
                each.sender,
                each.message_id,
                each.title,
                *each.cc,
                *each.to,
            ):
                assert not any(char in text for char in "\n\r\0\x1b")


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            letter,
            st.builds("[PATCH v{} {}/{}] x".format, *[st.integers(0, 4)] * 3),
            id_=st.sampled_from(["", "a", "b", "c", "d"]),
            parent=st.sampled_from(["", "a", "b", "c", "z"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_patch_of_a_plan_was_in_the_input_and_is_in_it_once(mails: list[bytes]) -> None:
    found = _survives(mbox(*mails))
    numbers = [[(each.tag or mail.Tag()).number for each in series.patches] for series in found]
    assert all(each == sorted(set(each)) for each in numbers)
    places = [each.place for series in found for each in series.patches]
    assert len(places) == len(set(places))
