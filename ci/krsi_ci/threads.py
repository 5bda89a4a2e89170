"""Mails that arrive one by one, sorted into series. No I/O in here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

_NUMBERS = re.compile(r"^\s*\[[^\]]*\bPATCH\b[^\]]*\]", re.IGNORECASE)
_OF = re.compile(r"\b(\d{1,4})/(\d{1,4})\s*\]")
_ID = re.compile(r"<[^<>\s]+>")
_FROM = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_WIDEST = 4096
_QUOTED = re.compile(rb"^(>*From )", re.MULTILINE)


@dataclass(frozen=True)
class Patch:
    """One mail of a series.

    Attributes:
        key: what the caller knows it by.
        msg_id: its Message-ID.
        root: the id of the mail that the thread begins with.
        author: its From.
        subject: its subject.
        number, count: its place in the series; 0 is the cover letter.
        data: the mail.
    """

    key: str
    msg_id: str
    root: str
    author: str
    subject: str
    number: int
    count: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Series:
    """The mails of one thread.

    Attributes:
        root: the id of its first mail.
        patches: in their order; of a mail that came twice the last one.
        keys: of all mails.
    """

    root: str
    patches: tuple[Patch, ...]
    keys: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Every patch has arrived."""
        count = max(patch.count for patch in self.patches)
        return set(range(1, count + 1)) <= {patch.number for patch in self.patches}

    @property
    def first(self) -> Patch:
        """The cover letter, or what comes first without one."""
        return self.patches[0]

    @property
    def mbox(self) -> bytes:
        """All mails in one file."""
        return b"\n".join(
            _FROM + _QUOTED.sub(rb">\1", patch.data.removeprefix(b"\n").rstrip(b"\n")) + b"\n"
            for patch in self.patches
        )


def read(key: str, data: bytes) -> Patch | None:
    """A mail as a part of a series; None if it is none: an answer, or no mail at all."""
    try:
        mail = message_from_bytes(data)
        subject = _header(mail, "Subject")
        found = _NUMBERS.match(subject)
        msg_ids = _ID.findall(_header(mail, "Message-ID"))
        if found is None or not msg_ids:
            return None
        place = _OF.search(found[0])
        number, count = (int(place[1]), int(place[2])) if place else (1, 1)
        parents = _ID.findall(f"{_header(mail, 'References')} {_header(mail, 'In-Reply-To')}")
        return Patch(
            key,
            msg_ids[0],
            parents[0] if parents else msg_ids[0],
            _header(mail, "From"),
            subject,
            number,
            count,
            data,
        )
    except (MessageError, RecursionError, LookupError, ValueError, AttributeError, TypeError):
        # What the library's parser runs into is no reason for us to fail.
        return None


def sort(patches: Iterable[Patch]) -> tuple[Series, ...]:
    """Put the mails of each thread together."""
    threads: dict[str, list[Patch]] = {}
    for patch in patches:
        threads.setdefault(patch.root, []).append(patch)
    sorted_threads = []
    for root, mails in threads.items():
        found = {patch.number: patch for patch in mails}
        ordered = tuple(found[number] for number in sorted(found))
        sorted_threads.append(Series(root, ordered, tuple(patch.key for patch in mails)))
    return tuple(sorted_threads)


def _header(mail: Message, name: str) -> str:
    value = str(mail.get(name, ""))[:_WIDEST]
    return " ".join(str(make_header(decode_header(value))).split())
