"""What can be said of a series by reading it: is it whole, what does it touch, who signed. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import PurePosixPath

from harness.bot.mail import Mail
from harness.bot.threads import Series

_GIT = re.compile(r'^diff --git "?a/(.*?)"? "?b/(.*?)"?$')
_SIDE = re.compile(r'^(?:---|\+\+\+) "?(?:(/dev/null)|(?:[ab]/)?([^\t"]*))')
_MOVED = re.compile(r'^(?:rename|copy) (?:from|to) "?(.*?)"?$')
_MODE = re.compile(r"^(?:new file mode|new mode) (\d{6})$")
_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_RAW = re.compile(r'^:\d{6} (?P<mode>\d{6}) \S+ \S+ \S+\t(?:"(?P<quoted>.*)"|(?P<path>.*))$')
_SYMLINK, _SUBMODULE, _GONE = "120000", "160000", "000000"
#: What every tree may get at its top, besides what the base has there.
_MOST = 10


@dataclass(frozen=True)
class Touched:
    """A file that a patch touches.

    Attributes:
        path: as the patch has it.
        mode: what it becomes, in git's notation; empty where the patch does not say.
    """

    path: str
    mode: str = ""


def completeness(series: Series) -> tuple[str, ...]:
    """What is wrong with a series as a whole."""
    count = ", ".join(f"{number}/{series.total}" for number in series.missing[:_MOST])
    more = f" and {len(series.missing) - _MOST} more" if len(series.missing) > _MOST else ""
    return (*([f"missing: {count}{more}"] if series.missing else []), *series.faults)


def touched(body: str) -> tuple[Touched, ...]:
    """The files that a patch says to touch, by its text."""
    found: dict[str, str] = {}
    path, old, new = "", 0, 0
    for line in body.splitlines():
        if old > 0 or new > 0:
            old -= line[:1] in (" ", "-", "")
            new -= line[:1] in (" ", "+", "")
        elif hunk := _HUNK.match(line):
            old, new = int((hunk[1] or "1")[:9]), int((hunk[2] or "1")[:9])
        elif match := _GIT.match(line):
            path = match[2]
            found.setdefault(match[1], "")
            found.setdefault(path, "")
        elif match := _MODE.match(line):
            found[path] = match[1]
        elif match := _SIDE.match(line):
            found.setdefault(match[2] or "", "")
        elif match := _MOVED.match(line):
            found.setdefault(match[1], "")
    return tuple(Touched(name, mode) for name, mode in found.items() if name)


def listed(raw: str) -> tuple[Touched, ...]:
    """The files that a commit touches, by `git diff-tree --raw`."""
    matches = filter(None, map(_RAW.match, raw.splitlines()))
    return tuple(Touched(match["path"] or match["quoted"], match["mode"]) for match in matches)


def path_faults(entries: Iterable[Touched], known: Collection[str] = ()) -> tuple[str, ...]:
    """What a series must not touch.

    Args:
        entries: what it touches.
        known: what the base has at its top; anything is allowed there when it is empty.
    """
    faults = []
    for entry in entries:
        parts = PurePosixPath(entry.path).parts
        if entry.path.startswith("/") or ".." in parts:
            faults.append(f"{entry.path}: leads out of the tree")
        elif any(part.casefold() == ".git" for part in parts):
            faults.append(f"{entry.path}: belongs to git")
        elif entry.mode == _SUBMODULE:
            faults.append(f"{entry.path}: is a submodule")
        elif entry.mode == _SYMLINK:
            faults.append(f"{entry.path}: is a symbolic link")
        elif known and entry.mode != _GONE and parts and parts[0] not in known:
            faults.append(f"{entry.path}: the kernel's tree has no {parts[0]} at its top")
    return tuple(dict.fromkeys(faults))


def sign_off_faults(mail: Mail, author: str = "") -> tuple[str, ...]:
    """What is wrong with who signed a patch off; `author` is whom git takes for its author."""
    if not mail.signed:
        return ("there is no Signed-off-by",)
    author = author or mail.author
    address = parseaddr(author)[1].casefold()
    if not address or address not in {parseaddr(name)[1].casefold() for name in mail.signed}:
        return (f"its author, {author}, has not signed it off",)
    return ()
