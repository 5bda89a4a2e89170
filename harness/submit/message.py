"""The mails of a submission: heads and bodies, their ids, the thread and the mbox. No I/O in here.

The same commits, version, date and recipients give the same bytes: an id is made from what the
whole submission says, and no clock is read.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import format_datetime, formataddr, parseaddr

#: What separates the mails of an mbox; git writes the same line.
SEPARATOR = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
#: An id as RFC 2822 has it, without comments and the obsolete forms.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
MSG_ID = re.compile(rf"{_DOT_ATOM}@(?:{_DOT_ATOM}|\[[!-Z^-~]*\])")
_HEADER = re.compile(r"^([!-9;-~]+):[ \t]*((?:.|\n[ \t])*)$", re.MULTILINE)
_ORDER = (
    *("From", "Date", "Subject", "To", "Cc", "Message-ID", "In-Reply-To", "References"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
)


@dataclass(frozen=True)
class Person:
    """Somebody with an address; lists have no name."""

    name: str
    address: str

    @classmethod
    def of(cls, text: str) -> "Person":
        """Read `Name <address>` or a bare address."""
        return cls(*parseaddr(text))

    @property
    def header(self) -> str:
        """As the head of a mail has it."""
        return formataddr((self.name, self.address))

    def __str__(self) -> str:
        """As a sign-off has it."""
        return f"{self.name} <{self.address}>" if self.name else self.address


@dataclass(frozen=True)
class Recipients:
    """To whom a mail goes, in a fixed order."""

    to: tuple[Person, ...] = ()
    cc: tuple[Person, ...] = ()

    @property
    def addresses(self) -> frozenset[str]:
        """All of them, in lower case."""
        return frozenset(person.address.lower() for person in (*self.to, *self.cc))


@dataclass(frozen=True)
class Message:
    """One mail.

    Attributes:
        name: its file, as in 0001-….patch.
        head: the fields of its head as they stand there, folded lines included.
        body: what follows the head.
    """

    name: str
    head: Mapping[str, str]
    body: bytes

    @classmethod
    def parse(cls, name: str, data: bytes) -> "Message":
        """Read a mail as `git format-patch` and `render` write it."""
        head, _, body = data.partition(b"\n\n")
        lines = head.removeprefix(SEPARATOR).decode("utf-8", "replace")
        return cls(name, dict(_HEADER.findall(lines)), body)

    def render(self) -> bytes:
        """The mail, with the line before it that makes an mbox of it."""
        known = [name for name in _ORDER if name in self.head]
        others = [name for name in self.head if name not in _ORDER]
        lines = "".join(f"{name}: {self.head[name]}\n" for name in (*known, *others))
        return SEPARATOR + lines.encode() + b"\n" + self.body

    def with_head(self, **fields: str) -> "Message":
        """The mail with more in its head; `_` in a name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in fields.items() if value}
        return replace(self, head={**self.head, **named})

    @property
    def subject(self) -> str:
        """The subject for people, [PATCH …] included."""
        return " ".join(str(make_header(decode_header(self.head.get("Subject", "")))).split())

    @property
    def text(self) -> str:
        """What it says before the patch itself begins."""
        said = self.body.decode("utf-8", "replace")
        return re.split(r"^(?:---|diff --git .*)$", said, maxsplit=1, flags=re.MULTILINE)[0]

    @property
    def msg_id(self) -> str:
        """Its id, in brackets."""
        return self.head.get("Message-ID", "")


@dataclass(frozen=True)
class Stamp:
    """What tells one submission from all others.

    Attributes:
        version: counted from 1.
        epoch: when the first mail was written, in seconds since 1970; each further one is written
            a second later, as readers sort by it.
        sender: who submits.
    """

    version: int
    epoch: int
    sender: Person

    def date(self, number: int = 0) -> str:
        """The date of a mail."""
        return format_datetime(datetime.fromtimestamp(self.epoch + number, UTC))


def thread(
    messages: Sequence[Message], recipients: Sequence[Recipients], stamp: Stamp
) -> tuple[Message, ...]:
    """Make one thread of the mails: the first is the cover letter, and the others answer it.

    Args:
        messages: the mails.
        recipients: of each of them.
        stamp: date, version and sender.
    """
    addressed = [
        message.with_head(
            From=stamp.sender.header,
            Date=stamp.date(number),
            To=_addresses(whom.to),
            Cc=_addresses(whom.cc),
        )
        for number, (message, whom) in enumerate(zip(messages, recipients, strict=True))
    ]
    contents = hashlib.sha256(b"".join(message.render() for message in addressed)).hexdigest()
    day = datetime.fromtimestamp(stamp.epoch, UTC).strftime("%Y%m%d")
    _, _, domain = stamp.sender.address.partition("@")

    def msg_id(number: int) -> str:
        return f"<{day}-v{stamp.version}-{number}-{contents[:16]}@{domain}>"

    first, *others = addressed
    return (
        first.with_head(Message_ID=msg_id(0)),
        *(
            message.with_head(
                Message_ID=msg_id(number), In_Reply_To=msg_id(0), References=msg_id(0)
            )
            for number, message in enumerate(others, start=1)
        ),
    )


def mbox(messages: Iterable[Message]) -> bytes:
    """All mails in one file, as `git am` and b4 read it."""
    return b"\n".join(message.render() for message in messages)


def _addresses(people: Sequence[Person]) -> str:
    """One address a line: no server folds a line that is short."""
    return ",\n ".join(person.header for person in people)
