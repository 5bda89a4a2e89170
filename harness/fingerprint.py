"""What a build was made from, as hashes: the way to tell that nothing has changed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from harness.git import Repo


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
    """A hash of a working tree's contents, edits included.

    Args:
        repo: the working tree.
        only: the prefixes of the paths that count; all when empty.
        without: the prefixes of the paths that do not.
    """

    def counts(path: str) -> bool:
        return (not only or path.startswith(only)) and not path.startswith(without or ("\0",))

    listing = repo.out("ls-tree", "-r", "-z", "HEAD").split("\0")
    committed = (line for line in listing if counts(line.partition("\t")[2]))
    changed = [repo.path / path for path in repo.changes() if counts(path)]
    return of_words(*committed, of_files(repo.path, changed))
