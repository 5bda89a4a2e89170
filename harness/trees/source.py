"""The base: a pristine Linux of series 6.12 as one commit in build/tree.

It comes from Debian's package, or from what KERNEL_SRC names: a folder, a tarball or a git tree.
The same sources give the same commit on every machine. A base that was taken in once stays in the
repository, so that going back to it costs seconds.
"""

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError, UsageError
from harness.trees.git import Repo

SERIES = "6.12"
PACKAGE = "linux-source-6.12"
TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")
#: The tag of the base commit in build/tree.
TAG = "base"
_MEMORY = "refs/krsi/base"
_TAR_TIMEOUT = 600.0
_VERSION = re.compile(
    r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)[ \t]*$", re.MULTILINE
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where a base is taken from.

    Attributes:
        path: the folder, tarball or git tree.
        kind: "folder", "tarball" or "git".
        version: what its Makefile says, e.g. "6.12.117".
        package: version of the Debian package it belongs to, if it does.
        key: changes whenever the contents may have changed; no path in it.
    """

    path: Path
    kind: str
    version: str
    package: str | None
    key: str


def locate(kernel_src: str | None, tarball: Path = TARBALL) -> Source:
    """Find the base and check that it is a Linux of the right series.

    Args:
        kernel_src: what the user gave as KERNEL_SRC; Debian's package when empty.
        tarball: what Debian's package installs.

    Raises:
        UsageError: KERNEL_SRC does not exist, is no kernel, of another series or not pristine.
        InfraError: no KERNEL_SRC, and the package is not installed.
    """
    if not kernel_src:
        if not tarball.is_file():
            raise InfraError(
                f"{tarball} is missing: install {PACKAGE}, or say KERNEL_SRC=folder, tarball or "
                "git tree."
            )
        return _of_tarball(tarball, package_version())
    path = Path(kernel_src).expanduser().resolve()
    if path.is_file():
        return _of_tarball(path, package_version() if path == tarball else None)
    if not path.is_dir():
        raise UsageError(f"KERNEL_SRC={kernel_src}: no such folder or file.")
    if (path / ".git").exists() or (path / "HEAD").is_file():
        return _of_git(path)
    return _of_folder(path)


def parse_version(makefile: str) -> str:
    """The version that a kernel's Makefile declares, e.g. "6.12.117"; empty if it is none."""
    found: dict[str, str] = dict(_VERSION.findall(makefile))
    if not {"VERSION", "PATCHLEVEL", "SUBLEVEL"} <= found.keys():
        return ""
    numbers = ".".join(found[part] for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return numbers + found.get("EXTRAVERSION", "")


def package_version() -> str | None:
    """The installed version of Debian's source package, or None where there is no dpkg."""
    if proc.which("dpkg-query") is None:
        return None
    asked = proc.run(["dpkg-query", "-W", "-f=${Version}", PACKAGE], check=None)
    return asked.stdout.strip() or None if asked.ok else None


def take(source: Source, tree: Repo, say: Say) -> str:
    """Make sure that the base is a commit in `tree`, and return the commit.

    The working tree of an existing repository is left alone; a missing repository is made, with
    the base checked out.

    Raises:
        InfraError: tar or git failed.
        UsageError: the source changed under our hands.
    """
    taken = known(source, tree)
    if taken:
        return taken
    say(f"taking in Linux {source.version} from {source.path}")
    commit = _take_git(source, tree) if source.kind == "git" else _take_files(source, tree)
    tree.run("update-ref", f"{_MEMORY}/{source.key}", commit)
    return commit


def known(source: Source, tree: Repo) -> str | None:
    """The commit in `tree` that a base was taken in as; None if it was not."""
    return tree.commit(f"{_MEMORY}/{source.key}") if tree.exists else None


def _require_series(version: str, what: object) -> str:
    if not version:
        raise UsageError(f"KERNEL_SRC={what} is no Linux kernel: its Makefile names no version.")
    if not re.match(rf"{re.escape(SERIES)}(\D|$)", version):
        raise UsageError(
            f"KERNEL_SRC={what} is Linux {version}, but the series is made for {SERIES}."
        )
    return version


def _of_tarball(path: Path, package: str | None) -> Source:
    if not tarfile.is_tarfile(path):
        raise UsageError(f"KERNEL_SRC={path} is neither a folder nor a tarball.")
    stat = path.stat()
    words = f"{path.name} {stat.st_size} {stat.st_mtime_ns}"
    first = ("--occurrence=1", "--wildcards", "--no-wildcards-match-slash", "*/Makefile")
    read = proc.run(
        ["tar", "--extract", "--to-stdout", "--file", path, *first],
        timeout=_TAR_TIMEOUT,
        check=None,
    )
    version = _require_series(parse_version(read.stdout), path)
    return Source(path, "tarball", version, package, _key("tarball", words))


def _of_git(path: Path) -> Source:
    repo = Repo(path)
    head = repo.commit("HEAD")
    if head is None:
        raise UsageError(f"KERNEL_SRC={path}: git finds no commit there.")
    makefile = repo.run("show", f"{head}:Makefile", check=None).stdout
    version = _require_series(parse_version(makefile), path)
    return Source(
        path, "git", version, None, _key("git", repo.out("rev-parse", f"{head}^{{tree}}"))
    )


def _of_folder(path: Path) -> Source:
    makefile = path / "Makefile"
    text = makefile.read_text(encoding="utf-8", errors="replace") if makefile.is_file() else ""
    version = _require_series(parse_version(text), path)
    if (path / ".config").exists() or (path / "include/config").exists():
        raise UsageError(f"KERNEL_SRC={path} has been built in: run `make mrproper` there first.")
    return Source(path, "folder", version, None, _key("folder", *_listing(path)))


def _listing(folder: Path) -> Iterator[str]:
    """One line for each file: its place, size and time; sorted."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            place = Path(root, name)
            stat = place.lstat()
            yield f"{place.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}"


def _key(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:20]


def _take_git(source: Source, tree: Repo) -> str:
    """Fetch the tree of the source's commit and commit it afresh, without its history."""
    with _repository(tree) as repo:
        repo.run("fetch", "--quiet", "--no-tags", "--depth=1", source.path.as_uri(), "HEAD")
        name = repo.out("rev-parse", "FETCH_HEAD^{tree}")
        if _key("git", name) != source.key:
            raise UsageError(f"{source.path} changed while it was read: try again.")
        return _commit_tree(repo, name, source.version)


def _take_files(source: Source, tree: Repo) -> str:
    """Unpack or copy the source, and commit what came out."""
    with _unpacked(source, tree.path.parent / "base.new") as folder:
        if tree.exists:
            return _commit_folder(tree, folder, source.version)
        repo = Repo(folder)
        repo.run("init", "--quiet", "--initial-branch=krsi")
        commit = _commit_folder(repo, folder, source.version)
        repo.run("reset", "--quiet", "--mixed", commit)
        if tree.path.exists():
            raise UsageError(f"{tree.path} is in the way: it is no git tree; move it aside.")
        folder.rename(tree.path)
        return commit


@contextmanager
def _repository(tree: Repo) -> Iterator[Repo]:
    """The repository at `tree`, made if need be; a new one appears only when all went well."""
    if tree.exists:
        yield tree
        return
    if tree.path.exists():
        raise UsageError(f"{tree.path} is in the way: it is no git tree; move it aside.")
    fresh = Repo(tree.path.with_name("base.new"))
    _remove(fresh.path)
    fresh.path.mkdir(parents=True)
    try:
        fresh.run("init", "--quiet", "--initial-branch=krsi")
        yield fresh
        fresh.run("reset", "--quiet", "--hard", "FETCH_HEAD")
        fresh.path.rename(tree.path)
    finally:
        _remove(fresh.path)


@contextmanager
def _unpacked(source: Source, folder: Path) -> Iterator[Path]:
    """The source's files in a folder of their own, gone afterwards unless moved away."""
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        if source.kind == "tarball":
            words = ("tar", "--extract", "--strip-components=1", "--no-same-owner")
            proc.run([*words, "-C", folder, "-f", source.path], timeout=_TAR_TIMEOUT)
        else:
            shutil.copytree(source.path, folder, symlinks=True, dirs_exist_ok=True)
        _show_new_files(folder)
        yield folder
    finally:
        _remove(folder)


def _show_new_files(folder: Path) -> None:
    """Take out of .gitignore what hides every new file from `git status` and `git add`.

    Debian keeps its packaging, and nothing else, in git: its sources come with a .gitignore that
    ends in a rule for the whole tree.
    """
    path = folder / ".gitignore"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line != "/*\n"), encoding="utf-8")


def _commit_folder(repo: Repo, folder: Path, version: str) -> str:
    """Commit all files of `folder`, ignored ones too, without touching index or HEAD."""
    git_dir = repo.git_dir
    index = git_dir / "index.base"
    env = {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(folder)}
    try:
        here = Repo(folder)
        here.run("add", "--all", "--force", ".", env=env)
        name = here.out("write-tree", env=env)
    finally:
        index.unlink(missing_ok=True)
    return _commit_tree(repo, name, version)


def _commit_tree(repo: Repo, name: str, version: str) -> str:
    return repo.out("commit-tree", name, "-m", f"Linux {version}")


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
