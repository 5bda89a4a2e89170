"""Where mails come from: a file, a pipe, a maildir, a folder of patches, a range of commits."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness import proc
from harness.bot.mail import MOST_BYTES, MOST_MAILS, split
from harness.errors import UsageError
from harness.trees.git import ENVIRONMENT, command

_ENDINGS = (".patch", ".eml", ".mbox", ".mbx", ".diff", ".txt")
_GIT_TIMEOUT = 120.0


def of_source(source: str, stdin: BinaryIO | None = None) -> Iterator[bytes]:
    """The mails of what the user named.

    Args:
        source: a file, a folder, or "-" for standard input.
        stdin: replaces standard input.

    Raises:
        UsageError: it is not there, cannot be read, or is larger than any series.
    """
    if source == "-":
        yield from split(stdin or sys.stdin.buffer)
        return
    path = Path(source)
    left, count = MOST_BYTES, 0
    for file in _files(path):
        size = _size(file)
        if size > left:
            raise UsageError(f"{file}: more than {MOST_BYTES} bytes: no series is as large.")
        left -= size
        try:
            with file.open("rb") as stream:
                for mail in split(stream):
                    count += 1
                    if count > MOST_MAILS:
                        raise UsageError(f"{path}: more than {MOST_MAILS} mails.")
                    yield mail
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}.") from error


def _size(file: Path) -> int:
    """The size of a regular file; anything else might never end.

    Raises:
        UsageError: it is none.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{file}: not a regular file; '-' reads standard input.")
    return status.st_size


def _files(path: Path) -> list[Path]:
    """The files that hold mails, in order."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder.")
    if not path.is_dir():
        return [path]
    if (path / "cur").is_dir() or (path / "new").is_dir():
        found = [file for name in ("cur", "new") for file in _listed(path / name)]
    else:
        found = [file for file in _listed(path) if file.suffix in _ENDINGS]
    if not found:
        raise UsageError(f"{path}: neither a maildir (cur/, new/) nor a folder of .patch files.")
    if len(found) > MOST_MAILS:
        raise UsageError(f"{path}: more than {MOST_MAILS} files.")
    return found


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if not file.name.startswith("."))


def of_range(range_: str, repository: Path, scratch: Path) -> Iterator[bytes]:
    """The commits of a range in the user's own repository, as mails.

    Raises:
        UsageError: git does not know the range, or it is empty.
    """
    if range_.startswith("-"):
        raise UsageError(f"--git {range_}: not a range of commits.")
    if proc.which("git") is None:
        raise UsageError("git: no such command.")
    done = proc.run(
        command("format-patch", "--quiet", "--output-directory", scratch, range_, "--"),
        cwd=repository,
        env=ENVIRONMENT,
        timeout=_GIT_TIMEOUT,
        check=None,
    )
    if not done.ok:
        reason = done.stderr.strip().removeprefix("fatal: ").splitlines()[:1]
        raise UsageError(f"--git {range_}: {''.join(reason) or done.why}.")
    if not any(scratch.iterdir()):
        raise UsageError(f"--git {range_}: there is no commit in this range.")
    yield from of_source(str(scratch))
