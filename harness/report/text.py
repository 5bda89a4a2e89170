"""What others have printed, made harmless for the files that it goes into. Pure."""

import re
from collections.abc import Iterable

# An escape sequence, whole; files.text() has replaced the escape of those that a guest wrote.
_ANSI = re.compile(
    "(?:\x1b|\N{REPLACEMENT CHARACTER})\\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|\x9b[0-?]*[@-~]"
)
# What XML and a terminal forbid, and what turns the direction of a line around.
_FORBIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text without colours, control characters but tab and line feed, and lone surrogates."""
    return _FORBIDDEN.sub("", _ANSI.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """The text in one line."""
    return " ".join(clean(text).split())


def bounded(lines: Iterable[str], limit: int) -> str:
    """The lines, cleaned, as text of at most `limit` characters: of more the two ends."""
    text = clean("\n".join(lines))
    if len(text) <= limit:
        return text
    half = (limit - 60) // 2
    return f"{text[:half]}\n[ {len(text) - 2 * half} characters are left out here ]\n{text[-half:]}"


def plural(count: int, what: str) -> str:
    """A number and what it counts."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
