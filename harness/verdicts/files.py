"""Read what a guest has left: never more than a limit, nothing but regular files.

A guest is root in the folder that it shares with us. Where a report should be it may leave a pipe,
a link to /dev/zero, or more than fits into memory.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LEFT_OUT = b"\n[ %d bytes are left out here ]\n"


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Attributes:
        data: what was read.
        end: where the part ends in the file, in bytes.
        left_out: how many bytes are missing from the middle of `data`.
    """

    data: bytes
    end: int
    left_out: int = 0

    @property
    def lines(self) -> "Part":
        """The part without a line that has not ended yet."""
        cut = self.data.rfind(b"\n") + 1
        return Part(self.data[:cut], self.end - len(self.data) + cut, self.left_out)


def shown(path: Path) -> str:
    """A path as a person in the current folder types it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def size(path: Path) -> int:
    """The size of a file; -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def read(path: Path, limit: int, offset: int = 0) -> Part:
    """A file from `offset` on; of one that is longer than `limit` its two ends.

    What is no regular file is empty.
    """
    try:
        # A pipe without a writer would block us, a link may lead anywhere.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return Part(b"", offset)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        return Part(b"", offset)
    with os.fdopen(number, "rb") as file:
        end = max(status.st_size, offset)
        file.seek(offset)
        if end - offset <= limit:
            data = file.read(end - offset)
            return Part(data, offset + len(data))
        half = limit // 2
        head = file.read(half)
        file.seek(end - half)
        tail = file.read(half)
    left_out = end - offset - 2 * half
    return Part(head + _LEFT_OUT % left_out + tail, end, left_out)


def text(data: bytes) -> str:
    """What bytes say, without anything that a terminal or an XML file would take for an order."""
    said = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return _ESCAPED.sub("\N{REPLACEMENT CHARACTER}", said)
