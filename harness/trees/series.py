"""The series: the numbered patches of kernel-patches/, and what they do to a base.

Patches are applied by `git am`, exactly: no fuzz, no three-way merge. The committer and the dates
are fixed, so that the same patches on the same base give the same commits on every machine.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from pathlib import Path

from harness.errors import BuildError, UsageError
from harness.trees.git import Repo

COVER = "0000-cover-letter.patch"
REMOVAL = "removal"
#: Names the version of Linux that the patches were exported on.
MADE_ON = "base"
_MEMORY = "refs/krsi/tip"
_NUMBER = re.compile(r"^(\d{4})-.*\.patch$")
_PREFIX = re.compile(r"^\[PATCH[^\]]*\]\s*")
_FAILED = re.compile(r"^error: patch failed: (?P<file>.+):(?P<line>\d+)$", re.MULTILINE)
_ERROR = re.compile(r"^(?:error|fatal): (?P<what>.+)$", re.MULTILINE)
_FILE = re.compile(r"^diff --git a/(.+) b/\1$")
_HUNK = re.compile(r"^@@ -(?P<line>\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


@dataclass(frozen=True)
class Patch:
    """One numbered file of the series.

    Attributes:
        path: the file.
        number: its place in the series, counted from 1.
        subject: the commit's subject, without the [PATCH n/m].
        label: the [PATCH n/m] as it stands in the file.
    """

    path: Path
    number: int
    subject: str
    label: str


def read(folder: Path) -> tuple[Patch, ...]:
    """The patches of the series in order; none is a series, too.

    Raises:
        UsageError: the numbers have a gap or a double, or a subject cannot be decoded.
    """
    patches: list[Patch] = []
    for path in sorted(folder.glob("[0-9]*.patch")):
        match = _NUMBER.match(path.name)
        if path.name == COVER or match is None:
            continue
        number = int(match[1])
        if number != len(patches) + 1:
            raise UsageError(
                f"kernel-patches/{path.name}: number {len(patches) + 1:04} was expected here."
            )
        patches.append(_patch(path, number))
    return tuple(patches)


def digest(patches: tuple[Patch, ...]) -> str:
    """A hash of what the patches say, names and the cover letter left aside."""
    total = hashlib.sha256()
    for patch in patches:
        total.update(hashlib.sha256(patch.path.read_bytes()).digest())
    return total.hexdigest()[:20]


def made_on(folder: Path) -> str:
    """The version of Linux that the patches were exported on; empty if nobody knows."""
    path = folder / MADE_ON
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""


def removal_subjects(folder: Path) -> tuple[str, ...]:
    """The subjects of the removal patches, as the file kernel-patches/removal lists them.

    Subjects, not file names, so that renumbering cannot make the list stale.

    Raises:
        UsageError: there is no such file, or it names no patch.
    """
    path = folder / REMOVAL
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = (line.strip() for line in text.splitlines())
    subjects = tuple(line for line in lines if line and not line.startswith("#"))
    if not subjects:
        raise UsageError(
            "kernel-patches/removal names no patch: list the subjects of the patches that remove "
            "the old BPF LSM, one a line."
        )
    return subjects


def count_removal(listed: tuple[str, ...], subjects: tuple[str, ...]) -> int:
    """How many of the series' first patches are the removal.

    Args:
        listed: what kernel-patches/removal says.
        subjects: the subjects of the whole series, in order.

    Raises:
        UsageError: the list is not how the series begins.
    """
    for place, wanted in enumerate(listed):
        found = subjects[place] if place < len(subjects) else "nothing"
        if found != wanted:
            raise UsageError(
                f"kernel-patches/removal is stale: its line {place + 1} says {wanted!r}, patch "
                f"{place + 1} of the series is {found!r}."
            )
    return len(listed)


def apply(tree: Repo, base: str, patches: tuple[Patch, ...]) -> str:
    """Apply the patches onto the commit `base`, beside the working tree, and return the tip.

    Done once for each pair of base and series; the answer is kept in the repository.

    Raises:
        BuildError: a patch does not apply; the sentence names the patch and the hunk.
    """
    if not patches:
        return base
    memory = f"{_MEMORY}/{base[:20]}-{digest(patches)}"
    known = tree.commit(memory)
    if known:
        return known
    with _scratch(tree, base) as scratch:
        done = scratch.run(
            *("am", "--quiet", "--no-3way", "--no-scissors", "--keep-non-patch"),
            *("--committer-date-is-author-date", "--no-gpg-sign"),
            *(patch.path.resolve() for patch in patches),
            check=None,
        )
        if not done.ok:
            raise BuildError(_explain(scratch, patches, done.stderr + done.stdout))
        tip = scratch.head
    tree.run("update-ref", memory, tip)
    return tip


def subjects(tree: Repo, base: str, head: str) -> tuple[str, ...]:
    """The subjects of the commits after `base` up to `head`, oldest first."""
    listing = tree.out("log", "--reverse", "--format=%s", f"{base}..{head}")
    return tuple(listing.splitlines())


def removal_tip(tree: Repo, base: str, head: str, folder: Path) -> str:
    """The last commit of the removal, among the commits after `base` up to `head`.

    Raises:
        UsageError: kernel-patches/removal is missing, empty or stale.
    """
    count = count_removal(removal_subjects(folder), subjects(tree, base, head))
    return tree.out("rev-list", "--reverse", f"{base}..{head}").splitlines()[count - 1]


def created(tree: Repo, base: str, head: str) -> dict[str, tuple[str, str]]:
    """The files that the commits after `base` create and `head` still has.

    A file of the base that one patch deletes and a later one writes anew counts.

    Returns:
        For each path its mode and the hash of its contents.
    """
    log = tree.out(
        *("log", "--format=", "--name-only", "--diff-filter=A", "--no-renames", "-z"),
        f"{base}..{head}",
    )
    paths = {path.strip("\n") for path in log.split("\0")} - {""}
    if not paths:
        return {}
    files = {}
    for line in tree.out("ls-tree", "-r", "-z", head).split("\0"):
        about, _, path = line.partition("\t")
        if path in paths:
            mode, _, blob = about.split()
            files[path] = (mode, blob)
    return files


def _patch(path: Path, number: int) -> Patch:
    """Read the head of one patch file."""
    raw = message_from_bytes(path.read_bytes())["Subject"] or ""
    try:
        subject = " ".join(str(make_header(decode_header(str(raw)))).split())
    except (MessageError, LookupError, ValueError) as error:
        raise UsageError(f"kernel-patches/{path.name}: its Subject cannot be decoded.") from error
    prefix = _PREFIX.match(subject)
    label = prefix[0].strip() if prefix else ""
    return Patch(path, number, _PREFIX.sub("", subject), label)


@contextmanager
def _scratch(tree: Repo, base: str) -> Iterator[Repo]:
    """A working tree without files: git am fetches from the index only what a patch touches."""
    path = tree.path.with_name("am.tmp")
    tree.run("worktree", "remove", "--force", path, check=None)
    tree.run("worktree", "prune")
    tree.run("worktree", "add", "--quiet", "--force", "--no-checkout", "--detach", path, base)
    try:
        scratch = Repo(path)
        scratch.run("read-tree", "HEAD")
        yield scratch
    finally:
        tree.run("worktree", "remove", "--force", path, check=None)


def _explain(scratch: Repo, patches: tuple[Patch, ...], output: str) -> str:
    """One sentence on why git am stopped: the patch, the file and the hunk."""
    state = Path(scratch.out("rev-parse", "--git-dir"))
    place = scratch.path / state / "rebase-apply/next"
    number = int(place.read_text(encoding="ascii")) if place.exists() else 1
    patch = patches[number - 1]
    name = f"kernel-patches/{patch.path.name}"
    failed = _FAILED.search(output)
    if failed:
        hunk = _hunk(patch.path, failed["file"], int(failed["line"]))
        return f"{name} does not apply: {hunk} of {failed['file']}."
    reason = _ERROR.search(output)
    return f"{name} does not apply: {reason['what'] if reason else output.strip()[-200:]}."


def _hunk(path: Path, file: str, line: int) -> str:
    """Which hunk of `file` begins at the old `line`: its number and its header."""
    current, count = "", 0
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if start := _FILE.match(text):
            current, count = start[1], 0
        elif current == file and (hunk := _HUNK.match(text)):
            count += 1
            if int(hunk["line"]) == line:
                return f"hunk {count} ({hunk[0]})"
    return f"the hunk at line {line}"
