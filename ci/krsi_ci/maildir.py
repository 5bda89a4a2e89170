"""The change source that watches a maildir: a series that has arrived becomes a change.

What was looked at moves from new/ to cur/, as a mail reader does it; a series whose last mails are
still on their way stays in new/. Nothing is executed here: mails are sorted, and that is all.
"""

import hashlib
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from buildbot.changes.base import ReconfigurablePollingChangeSource
from twisted.internet import defer
from twisted.python import log

from krsi_ci import threads
from krsi_ci.settings import Maildir, Project

CATEGORY = "series"
_SEEN = ":2,S"


def look(new: Path, settings: Maildir, now: float) -> tuple[list[threads.Series], list[Path]]:
    """Look at the mails that have arrived.

    Args:
        new: the folder of a maildir in which they are.
        settings: how patient and how generous to be.
        now: the time, in seconds since 1970.

    Returns:
        The series that are to be tested now, and what will never be a part of one.
    """
    ages: dict[str, float] = {}
    patches: list[threads.Patch] = []
    others: list[Path] = []
    for path in sorted(new.iterdir()):
        status = path.lstat()
        mail = path.is_file() and not path.is_symlink() and status.st_size <= settings.limit
        patch = threads.read(path.name, path.read_bytes()) if mail else None
        if patch is None:
            others.append(path)
        else:
            ages[path.name] = now - status.st_mtime
            patches.append(patch)
    found = []
    for series in threads.sort(patches):
        if len(series.mbox) > settings.limit:
            others += (new / key for key in series.keys)
        elif series.complete or min(ages[key] for key in series.keys) >= settings.patience:
            found.append(series)
    return found, others


def put_aside(paths: Iterable[Path]) -> None:
    """Mark mails as seen."""
    for path in paths:
        place = path.parent.parent / "cur"
        place.mkdir(exist_ok=True)
        path.rename(place / (path.name + _SEEN))


def keep(series: threads.Series, spool: Path) -> Path:
    """Write the mails of a series into one file, which is named by what it holds."""
    spool.mkdir(parents=True, exist_ok=True)
    mbox = spool / f"{hashlib.sha256(series.mbox).hexdigest()[:20]}.mbox"
    mbox.write_bytes(series.mbox)
    return mbox


class MaildirPoller(ReconfigurablePollingChangeSource):
    """Watches one maildir."""

    def checkConfig(  # noqa: N802 - Buildbot calls it so
        self, settings: Maildir, project: Project
    ) -> None:
        """See that the interval is one."""
        super().checkConfig(pollInterval=settings.poll)
        del project

    @defer.inlineCallbacks
    def reconfigService(  # noqa: N802 - likewise
        self, settings: Maildir, project: Project
    ) -> Generator[Any, Any, None]:
        """Take in the settings, when Buildbot starts or reads its configuration anew."""
        self._settings, self._project = settings, project
        yield super().reconfigService(pollInterval=settings.poll, pollAtLaunch=True)

    @defer.inlineCallbacks
    def poll(self) -> Generator[Any, Any, None]:
        """Look into the maildir, and tell the schedulers of each series to be tested.

        A mail is put aside only when its series is a change: better twice than never.
        """
        new = Path(self._settings.path, "new")
        found, others = look(new, self._settings, time.time())
        for path in others:
            log.msg(f"krsi: {path} is no patch, or too large: put aside")
        put_aside(others)
        for series in found:
            mbox = keep(series, Path(self.master.basedir, "series"))
            first = series.first
            yield self.master.data.updates.addChange(
                author=first.author,
                comments=first.subject,
                files=[patch.subject for patch in series.patches],
                branch=self._project.branch,
                category=CATEGORY,
                repository=self._project.repository,
                properties={"mbox": str(mbox), "subject": first.subject, "msgid": first.msg_id},
            )
            put_aside(new / key for key in series.keys)
