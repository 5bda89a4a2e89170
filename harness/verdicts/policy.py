"""The lines of the files in policy/: WORDS [until YYYY-MM-DD]: TEXT. Pure, but for `today`.

A line that begins with "#" is a comment. What excuses something needs a reason and the date until
which it does: an excuse that nobody renews is none any more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from harness.errors import UsageError

_UNTIL = re.compile(r"^(?P<words>.*?)(?:\s+until\s+(?P<date>\S+))?$")


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        where: FILE:LINE.
        words: what stands before the date.
        until: the last day on which it counts; None where it says none.
        text: what stands behind the colon.
        comment: the comment right above it, as one line.
    """

    where: str
    words: tuple[str, ...]
    until: date | None
    text: str
    comment: str


def today() -> date:
    """The day by which it is decided what has expired."""
    return datetime.now(UTC).date()


def entries(text: str, source: str, form: str) -> Iterator[Entry]:
    """Every line of a policy file that is no comment.

    Args:
        text: of the file.
        source: its name.
        form: how a line looks, for the message.

    Raises:
        UsageError: a line is malformed; it names the file and the line.
    """
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            comment = [*comment, line.lstrip("# ").rstrip()] if line.strip("# \t") else []
            continue
        where = f"{source}:{number}"
        head, colon, rest = line.partition(":")
        match = _UNTIL.match(head.strip())
        words = tuple(match["words"].split()) if match else ()
        if not colon or not words or not rest.strip():
            raise UsageError(f"{where}: expected '{form}'")
        until = _date(match["date"], where) if match and match["date"] else None
        yield Entry(where, words, until, rest.strip(), " ".join(comment))
        comment = []


def expiry(entry: Entry) -> date:
    """The last day on which an excuse counts. Raises UsageError if it has none."""
    if entry.until is None:
        raise UsageError(f"{entry.where}: says not until when: put 'until YYYY-MM-DD' before the :")
    return entry.until


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{where}: '{text}' is no date: expected YYYY-MM-DD") from error
