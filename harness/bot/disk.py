"""A disk of a fixed size: what is written to it cannot fill ours, and is gone at the end.

The image is a file without a name from the moment it is mounted, so that nothing is left of it,
whatever ends us; main.py runs in a mount namespace of its own, which takes the mount along.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.packages import search_path

_TIMEOUT = 120.0
#: Less than this is full, in bytes.
_FULL = 1 << 20


@dataclass(frozen=True)
class Disk:
    """A mounted disk.

    Attributes:
        path: where it is mounted; only root can enter it from outside of a sandbox.
        size: in bytes.
    """

    path: Path
    size: int

    @property
    def full(self) -> bool:
        """Whether nothing more fits."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize < _FULL or found.f_favail == 0

    @property
    def used(self) -> int:
        """How much is taken, in bytes."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def folder(self, name: str, owner: int) -> Path:
        """A new, empty folder that belongs to the user `owner`."""
        place = self.path / name
        place.mkdir()
        os.chown(place, owner, owner)
        return place


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Disk]:
    """A fresh disk below `folder` for as long as the block runs.

    Raises:
        InfraError: it cannot be made or mounted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image, place = folder / "disk.img", folder / "disk"
    path = {"PATH": search_path()}
    place.mkdir(exist_ok=True)
    try:
        with image.open("wb") as file:
            file.truncate(size)
        # No journal: it is thrown away.
        made = ("mkfs.ext4", "-q", "-F", "-m0", "-O", "^has_journal", image)
        proc.run(made, env=path, timeout=_TIMEOUT)
        options = "loop,nosuid,nodev,noatime"
        done = proc.run(
            ["mount", "-o", options, image, place], env=path, timeout=_TIMEOUT, check=None
        )
    finally:
        image.unlink(missing_ok=True)
    if not done.ok:
        place.rmdir()
        raise InfraError(
            f"no disk of a fixed size can be mounted ({done.why}): run as root, in a container "
            "with --privileged or with loop devices."
        )
    try:
        place.chmod(0o700)
        yield Disk(place, size)
    finally:
        proc.run(["umount", "--lazy", place], env=path, timeout=_TIMEOUT, check=None)
        if not place.is_mount():
            place.rmdir()
