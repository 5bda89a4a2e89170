"""Mails as they come from strangers: cut out of an mbox, decoded, and asked what they are.

Nothing in here fails on what a mail says; a mail that cannot be decoded is one that is no patch.
What is to be applied stays as the bytes that came: git decodes them itself, in the sandbox.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import formataddr, getaddresses
from functools import cached_property
from typing import BinaryIO

from harness.errors import UsageError
from harness.verdicts import files

#: Of one input, in bytes; of one mail in it, in bytes; and how many mails.
MOST_BYTES, MOST_OF_ONE, MOST_MAILS = 32 << 20, 8 << 20, 1000
#: How many people are answered.
_MOST_PEOPLE = 100
_WIDEST = 4096
#: How long a line that separates mails can be, in bytes.
_LONGEST_FROM = 500
#: The library compares each line with the boundaries of all parts that it is in.
_MOST_PARTS = 50

_FROM_LINE = re.compile(rb"From \S+ .*\d\d:\d\d:\d\d.* \d{4}\b")
_ID = re.compile(r"<[^<>\s]{1,250}>")
_BRACKETS = re.compile(r"\s*\[([^\]]*)\]")
_REPLY = re.compile(r"\s*(?:re|fwd?|aw)\s*:", re.IGNORECASE)
_PLACE = re.compile(r"(\d{1,4})/(\d{1,4})")
_VERSION = re.compile(r"v(\d{1,3})", re.IGNORECASE)
_DIFF = re.compile(r"^(?:diff --git |--- \S|\+\+\+ \S)", re.MULTILINE)
_SIGNED = re.compile(r"^Signed-off-by:\s*(.+)$", re.MULTILINE | re.IGNORECASE)
_AUTHOR = re.compile(r"\s*^From:[ \t]*(.+)$", re.MULTILINE)
_CUT = re.compile(r"^---\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Tag:
    """What the brackets of a subject say.

    Attributes:
        version: of the series, 1 unless it is said.
        number: which patch, 0 for the cover letter.
        total: of how many.
        text: the brackets themselves.
    """

    version: int = 1
    number: int = 1
    total: int = 1
    text: str = "[PATCH]"


@dataclass(frozen=True)
class Mail:
    """One mail.

    Attributes:
        raw: the bytes, for git.
        place: where it lay in the input, from 1.
        message_id: with its angle brackets; empty when there is none.
        parents: the mails that it answers, the eldest first.
        subject: in one line.
        sender: who sent it, as in a header.
        to, cc: who else got it.
        body: its text, decoded.
    """

    raw: bytes = field(repr=False)
    place: int = 1
    message_id: str = ""
    parents: tuple[str, ...] = ()
    subject: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    body: str = field(default="", repr=False)

    @cached_property
    def tag(self) -> Tag | None:
        """What its subject says that it is; None when it is no part of a series."""
        return read_tag(self.subject)

    @property
    def title(self) -> str:
        """The subject without its brackets."""
        rest = self.subject
        while match := _BRACKETS.match(rest):
            rest = rest[match.end() :]
        return rest.strip()

    @property
    def has_diff(self) -> bool:
        """Whether there is something to apply."""
        return bool(_DIFF.search(self.body))

    @property
    def author(self) -> str:
        """Who wrote it: a From: at the head of the text, or else who sent it."""
        own = _AUTHOR.match(self.body)
        return one_line(own[1]) if own else self.sender

    @property
    def message(self) -> str:
        """What is to become the commit's message."""
        cut = _CUT.search(self.body) or _DIFF.search(self.body)
        return self.body[: cut.start()] if cut else self.body

    @property
    def signed(self) -> tuple[str, ...]:
        """Who has signed it off, in order."""
        return tuple(one_line(name) for name in _SIGNED.findall(self.message))


def read_tag(subject: str) -> Tag | None:
    """What a subject says of its mail's place in a series: "[PATCH bpf-next v2 3/7] …".

    None for an answer, and for what does not say that it is a patch.
    """
    if _REPLY.match(subject):
        return None
    words: list[str] = []
    rest = subject
    while match := _BRACKETS.match(rest):
        words += match[1].replace(",", " ").split()
        rest = rest[match.end() :]
    kinds = [re.sub(r"v\d+$", "", word.upper(), flags=re.IGNORECASE) for word in words]
    if not {"PATCH", "RFC"} & set(kinds):
        return None
    version, number, total = 1, 1, 1
    for word in words:
        if place := _PLACE.fullmatch(word):
            number, total = int(place[1]), int(place[2])
        elif said := _VERSION.fullmatch(re.sub(r"^(?:PATCH|RFC)", "", word, flags=re.IGNORECASE)):
            version = int(said[1])
    text = one_line(subject[: len(subject) - len(rest)])
    return Tag(version, number, total, text)


def split(
    stream: BinaryIO,
    *,
    most_bytes: int = MOST_BYTES,
    most_of_one: int = MOST_OF_ONE,
    most_mails: int = MOST_MAILS,
) -> Iterator[bytes]:
    """The mails of an mbox, one after the other; what does not begin as one is a single mail.

    No more is read than the limits allow, whatever is at the other end.

    Raises:
        UsageError: a limit is reached.
    """
    lines: list[bytes] = []
    total, size, count, blank, mbox = 0, 0, 0, True, False
    while line := stream.readline(most_of_one + 1):
        total += len(line)
        if total > most_bytes:
            raise UsageError(f"the input has more than {most_bytes} bytes: no series is as large.")
        starts = blank and _FROM_LINE.match(line[:_LONGEST_FROM]) is not None
        mbox = mbox or (starts and not any(map(bytes.strip, lines)))
        if starts and mbox:
            if any(map(bytes.strip, lines)):
                count += 1
                yield b"".join(lines)
            lines, size = [], 0
        else:
            lines.append(line)
            size += len(line)
        if size > most_of_one:
            raise UsageError(f"mail {count + 1} has more than {most_of_one} bytes.")
        if count >= most_mails:
            raise UsageError(f"the input has more than {most_mails} mails: give one series alone.")
        blank = not line.strip()
    if any(map(bytes.strip, lines)):
        yield b"".join(lines)


def parse(raw: bytes, place: int = 1) -> Mail | None:
    """Decode a mail; None when it is beyond that."""
    if raw.lower().count(b"multipart/") > _MOST_PARTS:
        return None
    try:
        message = message_from_bytes(raw)
        return Mail(
            raw=raw,
            place=place,
            message_id="".join(_ID.findall(_header(message, "Message-ID"))[:1]),
            parents=_parents(message),
            subject=_header(message, "Subject"),
            sender="".join(_people(message, "From")[:1]),
            to=_people(message, "To"),
            cc=_people(message, "Cc"),
            body=_body(message),
        )
    except (MessageError, RecursionError, ValueError, LookupError, AttributeError, TypeError):
        # What the library's parser runs into is no reason for us to fail: it is no patch then.
        return None


def one_line(text: str) -> str:
    """Text without line breaks or anything that a terminal or a header takes for an order."""
    return " ".join(files.text(text.encode("utf-8", "replace")).split())[:_WIDEST]


def _header(message: Message, name: str) -> str:
    value = "".join(_raw(message, name)[:1]).replace("\0", " ")
    with suppress(MessageError, LookupError, ValueError):  # as it came, then
        value = str(make_header(decode_header(value)))
    return one_line(value)


def _raw(message: Message, name: str) -> list[str]:
    """All headers of a name as they came; bytes that nobody has encoded are taken for UTF-8."""
    return [
        str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for key, value in message.raw_items()
        if key.casefold() == name.casefold()
    ]


def _parents(message: Message) -> tuple[str, ...]:
    text = f"{_header(message, 'References')} {_header(message, 'In-Reply-To')}"
    return tuple(dict.fromkeys(_ID.findall(text)))


def _people(message: Message, name: str) -> tuple[str, ...]:
    """The addresses of a header, decoded one by one, so that no name can bring a comma."""
    found = []
    for shown, address in getaddresses(_raw(message, name))[:_MOST_PEOPLE]:
        if "@" not in address or not address.isascii():
            continue
        try:
            decoded = str(make_header(decode_header(shown)))
        except (MessageError, LookupError, ValueError):
            decoded = shown
        found.append(formataddr((one_line(decoded), one_line(address)), "utf-8"))
    return tuple(one_line(each) for each in found)


def _body(message: Message) -> str:
    """The text of all text parts, as git am would put them together."""
    parts = (part for part in message.walk() if part.get_content_maintype() == "text")
    return "\n".join(_text(part) for part in parts)


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        text = data.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def read(chunks: Iterable[bytes]) -> tuple[Mail, ...]:
    """Decode mails, the same one twice only once.

    Raises:
        UsageError: there is no mail in it at all.
    """
    mails: dict[str, Mail] = {}
    for place, raw in enumerate(chunks, 1):
        mail = parse(raw, place)
        if mail is not None:
            mails.setdefault(mail.message_id or f"#{place}", mail)
    if not mails:
        raise UsageError("the input holds no mail: an mbox, a maildir or a folder of patches?")
    return tuple(mails.values())
