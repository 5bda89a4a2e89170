"""How much the code of a stranger may take, and what is said when it wants more."""

import re
from dataclasses import dataclass

from harness.verdicts import files

GIB = 1 << 30

#: What a command prints when it runs into a wall that does not end it.
_SAID = (
    ("network", re.compile(r"Network is unreachable|name resolution|Could not resolve host")),
    ("files outside", re.compile(r"Read-only file system|[Pp]ermission denied")),
    ("disk", re.compile(r"No space left on device|File too large|File size limit exceeded")),
    (
        "processes",
        re.compile(r"Cannot fork|fork: [^\n]{0,200}(?:retry|unavailable)|vfork: Resource"),
    ),
    ("memory", re.compile(r"Cannot allocate memory|virtual memory exhausted|[Oo]ut of memory")),
    ("processor time", re.compile(r"CPU time limit exceeded|Cpu time limit exceeded")),
)


@dataclass(frozen=True)
class Limits:
    """What one command and all that it starts may take.

    Attributes:
        seconds: until all of it is ended.
        memory: of all processes together, and address space of each, in bytes.
        processes: how many at a time, threads included.
        cpu: processor time of each process, in seconds.
        file_size: of each file, in bytes.
        temporary: /tmp and /dev/shm, in bytes each.
        spare: the machine's memory that must stay available, in bytes.
    """

    seconds: float
    memory: int = 6 * GIB
    processes: int = 400
    cpu: int = 7200
    file_size: int = 3 * GIB
    temporary: int = GIB
    spare: int = GIB // 2

    @property
    def sizes(self) -> str:
        """All but the time, for people."""
        return (
            f"{_gib(self.memory)} of memory, {self.processes} processes, "
            f"{_gib(self.file_size)} a file, {self.cpu} s of processor time a process"
        )


def _gib(size: int) -> str:
    return f"{size / GIB:.3g} GiB"


@dataclass(frozen=True)
class Limited:
    """A limit that was met.

    Attributes:
        what: time, memory, processes, disk, network, files outside, processor time.
        how: in a few words.
    """

    what: str
    how: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.what}: {self.how}"


def of_output(text: str) -> tuple[Limited, ...]:
    """The walls that a command says to have run into; it need not have failed for it. Pure."""
    found = []
    for what, pattern in _SAID:
        if match := pattern.search(text):
            start = text.rfind("\n", 0, match.start()) + 1
            line = text[start : start + 200].split("\n", 1)[0]
            said = " ".join(files.text(line.encode("utf-8", "replace")).split())
            found.append(Limited(what, f"refused: {said}"))
    return tuple(found)
