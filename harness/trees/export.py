"""From commits to files: kernel-patches/ and the three views of what the series creates.

The same commits give the same bytes on every machine and on every day: no version of git, no date
of the day, no abbreviated hash, and the cover letter is dated by the last commit.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from email.header import Header
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from harness.errors import BuildError, UsageError
from harness.model import ROOT
from harness.progress import say
from harness.trees import series, source, tree
from harness.trees.git import Repo

#: Where a view begins in the kernel, and where beside the patches.
VIEWS: Mapping[str, str] = {
    "security/bpf/": "security/bpf/",
    "tools/lib/bpf/": "tools/lib/bpf/",
    "tools/testing/selftests/bpf/": "selftests/",
}
COVER_TEXT = "cover-letter.txt"
_EXECUTABLE = "100755"
#: How commits become files: `git format-patch` says the same of them everywhere and always.
FORMAT = (
    *("--no-signature", "--zero-commit", "--full-index", "--numbered", "--no-thread"),
    *("--no-attach", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames"),
    *("--encode-email-headers", "--subject-prefix=PATCH", "--stat=72", "--summary", "--patch"),
    *("--filename-max-length=64", "--no-base", "--no-notes", "--diff-algorithm=histogram"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--quiet"),
)
_NOBODY = "0" * 40
_COVER_HEAD = """\
From {zero} Mon Sep 17 00:00:00 2001
From: {author}
Date: {date}
Subject: {subject}
"""
#: What the head of a message says when its body is not ASCII.
UTF8_HEAD = """\
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
"""


def patches(
    repo: Repo, folder: Path = tree.PATCHES, root: Path = ROOT, *, name: str = "build/tree"
) -> int:
    """Export the commits of build/tree to kernel-patches/, and refresh the views.

    Args:
        repo: build/tree.
        folder: kernel-patches/.
        root: where the views lie.
        name: what to call the tree in a complaint.

    Returns:
        The number of patches.

    Raises:
        UsageError: the tree is not ready, or kernel-patches/ or a view has changes it does not
            know.
        BuildError: the exported patches do not give the tree back.
    """
    state = ready(repo, name)
    head = repo.head
    fresh = folder.with_name(folder.name + ".new")
    _clear(fresh)
    fresh.mkdir(parents=True)
    try:
        if head != state.base:
            options = [*FORMAT, f"--output-directory={fresh.resolve()}"]
            repo.run("format-patch", *options, f"{state.base}..{head}")
            _write_cover(repo, state.base, head, folder, fresh)
        exported = series.read(fresh)
        digest = series.digest(exported)
        if series.digest(series.read(folder)) not in (state.series, digest):
            raise UsageError(
                f"kernel-patches/ has changed since {name} was made from it, and exporting would "
                "overwrite that: put the one or the other aside."
            )
        tip = series.apply(repo, state.base, exported)
        if repo.out("rev-parse", f"{tip}^{{tree}}") != repo.out("rev-parse", f"{head}^{{tree}}"):
            raise BuildError(f"the exported patches do not give the files of {name} back.")
        if (folder / series.REMOVAL).is_file():
            listed = series.removal_subjects(folder)
            series.count_removal(listed, tuple(patch.subject for patch in exported))
        shown = series.apply(repo, state.base, series.read(folder))
        _refuse_edited_views(repo, state.base, (shown, head), root, name)
        _move_patches(fresh, folder)
        if series.made_on(folder) != state.version:
            (folder / series.MADE_ON).write_text(f"{state.version}\n", encoding="utf-8")
    finally:
        _clear(fresh)
    tree.save(repo, replace(state, series=digest, applied=head))
    write_views(repo, state.base, head, root)
    return len(exported)


def view_of(path: str) -> PurePosixPath | None:
    """Where a file of the kernel is shown beside the patches; None if it is not."""
    for begin, place in VIEWS.items():
        if path.startswith(begin):
            return PurePosixPath(place + path.removeprefix(begin))
    return None


def views(repo: Repo, base: str, head: str) -> dict[PurePosixPath, tuple[str, str]]:
    """Each file of the views, with its mode and the hash of its contents."""
    shown = {}
    for path, entry in series.created(repo, base, head).items():
        place = view_of(path)
        if place is not None:
            shown[place] = entry
    return shown


def view_differences(repo: Repo, base: str, head: str, root: Path = ROOT) -> tuple[str, ...]:
    """The files of the views that are not what the series creates, each with the reason."""
    wanted = views(repo, base, head)
    found = {path.relative_to(root).as_posix() for path in _shown_files(root)}
    names = sorted(path.as_posix() for path in wanted)
    differing = []
    hashes = _blobs(repo, root, [name for name in names if name in found])
    for name in names:
        mode, blob = wanted[PurePosixPath(name)]
        if name not in found:
            differing.append(f"{name}: missing")
        elif hashes[name] != blob:
            differing.append(f"{name}: differs")
        elif (mode == _EXECUTABLE) != bool((root / name).stat().st_mode & 0o100):
            differing.append(f"{name}: the executable bit differs")
    extra = sorted(found - set(names))
    return (*differing, *(f"{name}: the series does not create it" for name in extra))


def write_views(repo: Repo, base: str, head: str, root: Path = ROOT) -> None:
    """Make the views exactly what the series creates; files that are right stay untouched."""
    wanted = views(repo, base, head)
    for path in _shown_files(root):
        if PurePosixPath(path.relative_to(root)) not in wanted:
            path.unlink()
            _prune(path.parent, root)
    with _checked_out(repo, head, [_kernel_path(place) for place in wanted]) as folder:
        for place, (mode, _) in wanted.items():
            path, fresh = root / place, folder / _kernel_path(place)
            if not path.is_file() or path.read_bytes() != fresh.read_bytes():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh, path)
            path.chmod(0o755 if mode == _EXECUTABLE else 0o644)


def _kernel_path(place: PurePosixPath) -> str:
    """Where a file of a view lies in the kernel."""
    for begin, shown in VIEWS.items():
        if place.as_posix().startswith(shown):
            return begin + place.as_posix().removeprefix(shown)
    raise AssertionError(place)


@contextmanager
def _checked_out(repo: Repo, commit: str, paths: Sequence[str]) -> Iterator[Path]:
    """Some files of a commit, byte for byte, in a folder that is gone afterwards."""
    with TemporaryDirectory(dir=repo.git_dir) as name:
        env = {"GIT_INDEX_FILE": f"{name}/index"}
        repo.run("read-tree", commit, env=env)
        words = ("checkout-index", "--force", "-z", "--stdin", f"--prefix={name}/files/")
        repo.run(*words, env=env, stdin="".join(f"{path}\0" for path in paths))
        yield Path(name, "files")


def ready(repo: Repo, name: str) -> tree.State:
    """Check that build/tree can be exported without losing anything.

    Args:
        repo: build/tree.
        name: what to call it in a complaint.

    Raises:
        UsageError: it does not exist, something is under way there or not committed, or its
            commits are no series on the base.
    """
    state = tree.load(repo) if repo.exists else None
    if state is None:
        raise UsageError(f"there is no {name} yet: `make kernel` makes it.")
    under_way = _under_way(repo)
    if under_way:
        raise UsageError(
            f"{name}: a {under_way} is under way: end it with `git {under_way} --continue`, or "
            f"drop it with `git {under_way} --abort`."
        )
    dirty = repo.changes()
    if dirty:
        raise UsageError(
            f"{name} has changes that are not committed ({dirty[0]}): commit or stash them."
        )
    head = repo.head
    if not repo.run("merge-base", "--is-ancestor", state.base, head, check=None).ok:
        raise UsageError(f"{name}: HEAD does not stand on the base {source.TAG!r}: rebase onto it.")
    if repo.out("rev-list", "--merges", f"{state.base}..{head}"):
        raise UsageError(f"{name}: a merge cannot become a patch: rebase onto {source.TAG!r}.")
    return state


def _under_way(repo: Repo) -> str:
    """What git is in the middle of, so that HEAD is not the whole series; usually nothing."""
    own = repo.path / repo.out("rev-parse", "--git-dir")
    marks = {
        "rebase": ("rebase-merge", "rebase-apply"),
        "cherry-pick": ("CHERRY_PICK_HEAD",),
        "revert": ("REVERT_HEAD",),
        "merge": ("MERGE_HEAD",),
    }
    found = (what for what, names in marks.items() if any((own / name).exists() for name in names))
    return next(found, "")


def _refuse_edited_views(
    repo: Repo, base: str, commits: tuple[str, str], root: Path, name: str
) -> None:
    """Refuse to write over a file of a view that somebody has edited.

    Args:
        repo: build/tree.
        base: what the series stands on.
        commits: what the views are written from until now, and from now on; a file that is as one
            of them has it is nobody's work.
        root: where the views lie.
        name: what to call the tree.

    Raises:
        UsageError: there is such a file.
    """
    ours: dict[str, set[str]] = {}
    for commit in commits:
        for place, (_, blob) in views(repo, base, commit).items():
            ours.setdefault(place.as_posix(), set()).add(blob)
    shown = [path.relative_to(root).as_posix() for path in _shown_files(root)]
    for view, blob in _blobs(repo, root, shown).items():
        if blob not in ours.get(view, ()):
            raise UsageError(
                f"{view} was edited, and is only a view of {name}/"
                f"{_kernel_path(PurePosixPath(view))}, which differs: commit the edit there, or "
                f"put it aside (`git checkout {view}`; a new file: delete it)."
            )


def cover_text(folder: Path) -> tuple[str, str] | None:
    """The subject and the text of the cover letter as written by hand; None if there is none.

    Raises:
        UsageError: it is empty.
    """
    text = folder / COVER_TEXT
    if not text.is_file():
        return None
    subject, _, blurb = text.read_text(encoding="utf-8").strip().partition("\n")
    if not subject:
        raise UsageError(f"kernel-patches/{COVER_TEXT} is empty: a subject, a blank line, a text.")
    return subject.strip(), blurb.strip()


def overview(repo: Repo, base: str, head: str) -> tuple[str, str]:
    """What the end of a cover letter says of the commits: who wrote what, and the diffstat."""
    return (
        repo.run("shortlog", "-w72,2,4", f"{base}..{head}").stdout.strip("\n"),
        repo.run("diff", "--stat=72", "--summary", "-M", base, head).stdout.strip("\n"),
    )


def encoded_subject(line: str) -> str:
    """A subject as a mail's header has it."""
    return Header(line, None if line.isascii() else "utf-8", 998).encode()


def _write_cover(repo: Repo, base: str, head: str, folder: Path, fresh: Path) -> None:
    """Write the cover letter: its text by hand, the rest from the commits."""
    written = cover_text(folder)
    if written is None:
        say(f"no cover letter: kernel-patches/{COVER_TEXT} is missing")
        return
    subject, blurb = written
    count = int(repo.out("rev-list", "--count", f"{base}..{head}"))
    author, email, date = repo.out("log", "-1", "--format=%an%n%ae%n%aD", head).splitlines()
    width = len(str(count))
    name = author if author.isascii() else Header(author, "utf-8").encode()
    line = f"[PATCH {0:0{width}}/{count}] {subject}"
    parts = (blurb, *overview(repo, base, head))
    body = "\n\n".join(part for part in parts if part) + "\n"
    header = _COVER_HEAD.format(
        zero=_NOBODY,
        author=f"{name} <{email}>",
        date=date,
        subject=encoded_subject(line),
    )
    mime = "" if body.isascii() else UTF8_HEAD
    (fresh / series.COVER).write_text(f"{header}{mime}\n{body}", encoding="utf-8")


def _move_patches(fresh: Path, folder: Path) -> None:
    """Put the new patches in the place of the old ones; equal files are not rewritten."""
    folder.mkdir(parents=True, exist_ok=True)
    new = {path.name: path for path in fresh.iterdir()}
    for old in folder.glob("[0-9]*.patch"):
        if old.name not in new:
            old.unlink()
    for name, path in new.items():
        place = folder / name
        if not place.exists() or place.read_bytes() != path.read_bytes():
            path.replace(place)


def _shown_files(root: Path) -> Iterator[Path]:
    """Every file that lies in a view now."""
    for place in VIEWS.values():
        yield from sorted(path for path in (root / place).rglob("*") if not path.is_dir())


def _blobs(repo: Repo, root: Path, names: list[str]) -> dict[str, str]:
    """Hash each file as git would, as it lies."""
    if not names:
        return {}
    paths = "".join(f"{(root / name).resolve()}\n" for name in names)
    hashes = repo.run("hash-object", "--no-filters", "--stdin-paths", stdin=paths).stdout.split()
    return dict(zip(names, hashes, strict=True))


def _prune(folder: Path, root: Path) -> None:
    """Delete folders that became empty, up to the root."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _clear(folder: Path) -> None:
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
