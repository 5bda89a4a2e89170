"""What a build was made from, as hashes: the way to tell that nothing has changed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.trees.git import Repo


def of_words(*words: str) -> str:
    """A hash of some words, their order included."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:20]


def of_files(root: Path, paths: Iterable[Path]) -> str:
    """A hash of the names below `root` and the contents of files; a missing one counts as such."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(root)}\0".encode())
        if path.is_symlink():
            total.update(str(path.readlink()).encode())
        elif path.is_file():
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:20]


def of_folder(folder: Path) -> str:
    """A hash of every file below `folder`."""
    return of_files(folder, (path for path in folder.rglob("*") if not path.is_dir()))


def of_tree(repo: Repo, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> str:
    """A hash of a working tree's contents as they are now; see Snapshot.digest()."""
    return Snapshot.of(repo).digest(only=only, without=without)


@dataclass(frozen=True)
class Snapshot:
    """What git knows of a working tree: asked once, good for many hashes.

    Attributes:
        root: the working tree.
        committed: the lines of `git ls-tree` for HEAD.
        edited: the paths that differ from HEAD or are new, relative to root.
    """

    root: Path
    committed: tuple[str, ...]
    edited: tuple[str, ...]

    @classmethod
    def of(cls, repo: Repo) -> Self:
        """Ask git about a working tree."""
        listing = repo.out("ls-tree", "-r", "-z", "HEAD").split("\0")
        return cls(repo.path, tuple(listing), repo.changes())

    def digest(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> str:
        """A hash of the contents, edits included.

        Args:
            only: the prefixes of the paths that count; all when empty.
            without: the prefixes of the paths that do not.
        """

        def counts(path: str) -> bool:
            return (not only or path.startswith(only)) and not path.startswith(without or ("\0",))

        committed = (line for line in self.committed if counts(line.partition("\t")[2]))
        edited = [self.root / path for path in self.edited if counts(path)]
        return of_words(*committed, of_files(self.root, edited))
