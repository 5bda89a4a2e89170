"""The mails of a submission, made from the commits of build/tree."""

import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.model import ROOT
from harness.submit import cover, maintainers
from harness.submit.message import Message, Person, Recipients, Stamp, mbox, thread
from harness.trees import export, series, source, tree
from harness.trees.git import Repo

SETTINGS = "policy/submit.toml"
#: The file in a submission's folder that says what it was made from.
MEMORY = "submission.json"
_NAME = "build/tree"


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        version: which submission of the series this is.
        to: who gets every mail, besides those of policy/submit.toml.
        prefix: what stands in front of the numbers; policy/submit.toml says it when empty.
        epoch: the date of the first mail in seconds since 1970; the latest commit's when None.
        prerequisites: so many of the first patches are on the list already.
        allow: checks that may fail.
        send: send the mails, when the user says yes.
        kernel_src: KERNEL_SRC of `make kernel`; a git tree names a base that others have.
        root: the project.
    """

    version: int = 1
    to: tuple[str, ...] = ()
    prefix: str = ""
    epoch: int | None = None
    prerequisites: int = 0
    allow: frozenset[str] = frozenset()
    send: bool = False
    kernel_src: str | None = None
    root: Path = ROOT

    @property
    def build(self) -> Path:
        """Where everything is made."""
        return self.root / "build"

    @property
    def patches(self) -> Path:
        """The series."""
        return self.root / "kernel-patches"

    def outgoing(self, version: int) -> Path:
        """Where the mails of a version lie."""
        return self.build / "outgoing" / f"v{version}"


@dataclass(frozen=True)
class Commits:
    """What is submitted.

    Attributes:
        repo: build/tree.
        state: what it was made from.
        first: what the submitted patches stand on: the base, or the last prerequisite.
        head: the last one.
        public_base: the base as others know it.
        origin: what the base is called.
    """

    repo: Repo
    state: tree.State
    first: str
    head: str
    public_base: str
    origin: str


@dataclass(frozen=True)
class Submission:
    """The mails and all that the checks ask about.

    Attributes:
        folder: where they are written.
        prefix: what their subjects begin with, without the numbers.
        submitter: who signs them off.
        messages: the mails, the cover letter first.
        named: whom get_maintainer.pl names, patch by patch.
        whom: who gets each mail.
        changes: the changelog.
        text: of the cover letter, as written by hand.
    """

    folder: Path
    prefix: str
    submitter: Person
    messages: tuple[Message, ...]
    named: tuple[tuple[maintainers.Named, ...], ...]
    whom: tuple[Recipients, ...]
    changes: Mapping[int, str] = field(default_factory=dict)
    text: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The mails, one a file."""
        return tuple(self.folder / message.name for message in self.messages)

    @property
    def mbox(self) -> Path:
        """The mails in one file."""
        return self.folder / "series.mbox"


def read_settings(path: Path) -> Mapping[str, object]:
    """What policy/submit.toml says.

    Raises:
        UsageError: it cannot be read, or says what nobody understands.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}.") from error
    to = settings.get("to", [])
    if set(settings) - {"prefix", "to"} or not isinstance(settings.get("prefix"), str):
        raise UsageError(f"{path}: `prefix`, a text, and `to`, a list, are all it can say.")
    if not isinstance(to, list) or not all("@" in str(address) for address in to):
        raise UsageError(f"{path}: `to` is a list of addresses.")
    return settings


def locate(request: Request) -> Commits:
    """Find what is to be submitted.

    Raises:
        UsageError: build/tree is not what kernel-patches/ says, or stands on another base.
    """
    repo = Repo(request.build / "tree")
    state = export.ready(repo, _NAME)
    head = repo.head
    if series.digest(series.read(request.patches)) != state.series or head != state.applied:
        raise UsageError(
            f"{_NAME} and kernel-patches/ differ: `make patches` exports the commits, and "
            "`make kernel` takes in the patches."
        )
    listed = repo.out("rev-list", "--reverse", f"{state.base}..{head}").split()
    if len(listed) <= request.prerequisites:
        raise UsageError(
            f"there is nothing to submit: {len(listed)} patches, {request.prerequisites} of them "
            "prerequisites."
        )
    first = (state.base, *listed)[request.prerequisites]
    public, origin = _public_base(request, repo, state)
    return Commits(repo, state, first, head, public, origin)


def _public_base(request: Request, repo: Repo, state: tree.State) -> tuple[str, str]:
    """The base as others know it, and its name."""
    name = f"Linux {state.version}"
    if not request.kernel_src:
        return state.base, f"{name}, Debian's {state.package}" if state.package else name
    origin = source.locate(request.kernel_src)
    if source.known(origin, repo) != state.base:
        raise UsageError(
            f"{_NAME} does not stand on KERNEL_SRC={request.kernel_src}: "
            "`make kernel KERNEL_SRC=…` puts it there."
        )
    return (Repo(origin.path).head if origin.kind == "git" else state.base), name


def compose(
    request: Request, commits: Commits, settings: Mapping[str, object], submitter: Person
) -> Submission:
    """Write the mails into the draft's folder."""
    repo = commits.repo
    version = f" v{request.version}" if request.version > 1 else ""
    prefix = (request.prefix or str(settings["prefix"])) + version
    folder = request.outgoing(request.version).with_name(f"v{request.version}.draft")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    repo.run(
        *("format-patch", *export.FORMAT, "--cover-letter", f"--base={commits.state.base}"),
        *("--signoff", f"--from={submitter}", f"--subject-prefix={prefix}"),
        *(f"--output-directory={folder.resolve()}", f"{commits.first}..{commits.head}"),
        env={"GIT_COMMITTER_NAME": submitter.name, "GIT_COMMITTER_EMAIL": submitter.address},
    )
    patches = [patch.path for patch in series.read(folder)]
    named = maintainers.ask(repo, patches)
    always = [Person.of(str(each)) for each in (*_list(settings["to"]), *request.to)]
    whom = [maintainers.recipients(people, always, submitter) for people in named]
    everybody = [each for people in named for each in people]
    whom.insert(0, maintainers.recipients(everybody, always, submitter))
    sections = _changes(request)
    written = export.cover_text(request.patches)
    letter = _letter(request, commits, folder, prefix, sections)
    stamp = Stamp(request.version, _epoch(request, commits), submitter)
    messages = thread(
        [letter, *(Message.parse(path.name, path.read_bytes()) for path in patches)], whom, stamp
    )
    for message in messages:
        (folder / message.name).write_bytes(message.render())
    submission = Submission(
        folder,
        prefix,
        submitter,
        messages,
        named,
        tuple(whom),
        sections,
        written[1] if written else None,
    )
    submission.mbox.write_bytes(mbox(messages))
    return submission


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _changes(request: Request) -> Mapping[int, str]:
    path = request.patches / cover.CHANGELOG
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return cover.changes(text, request.version)


def _letter(
    request: Request,
    commits: Commits,
    folder: Path,
    prefix: str,
    sections: Mapping[int, str],
) -> Message:
    """The cover letter's mail, without addresses, in the place of the one that git wrote."""
    count = len(series.read(folder))
    subject, text = export.cover_text(request.patches) or ("", "")
    git_cover = (folder / series.COVER).read_text(encoding="utf-8")
    difference, before = _difference(request, commits, folder)
    base = cover.base_lines(git_cover).replace(commits.state.base, commits.public_base, 1)
    letter = cover.Letter(
        text,
        sections,
        difference,
        before,
        export.overview(commits.repo, commits.first, commits.head),
        commits.origin,
        base,
    )
    body = cover.render(letter, request.version)
    line = f"[{prefix} {0:0{len(str(count))}}/{count}] {subject}"
    head = {"Subject": export.encoded_subject(line)}
    if not body.isascii():
        head |= dict(field.split(": ", 1) for field in export.UTF8_HEAD.splitlines())
    return Message(series.COVER, head, body.encode())


def _difference(request: Request, commits: Commits, folder: Path) -> tuple[str, str]:
    """What has changed since the version before, and a link to it; nothing for the first one."""
    if request.version == 1:
        return "", ""
    repo = commits.repo
    before = request.outgoing(request.version - 1)
    path = before / MEMORY
    if not path.is_file():
        raise UsageError(
            f"{before} has no mails to compare with: `make submit VERSION={request.version - 1}` "
            "on the commits of then writes the same ones again."
        )
    memory = json.loads(path.read_text(encoding="utf-8"))
    if repo.commit(memory["first"]) is None:
        raise UsageError(f"{_NAME} has no commit {memory['first']}, on which {before} stands.")
    old = series.apply(repo, memory["first"], series.read(before))
    new = series.apply(repo, commits.first, series.read(folder))
    said = repo.run(
        *("-c", "core.abbrev=12", "range-diff", "--no-color"),
        *(f"{memory['first']}..{old}", f"{commits.first}..{new}"),
    )
    return said.stdout.rstrip("\n"), f"https://lore.kernel.org/r/{memory['id']}"


def _epoch(request: Request, commits: Commits) -> int:
    """When the first mail was written: as the user says, or with the latest commit."""
    if request.epoch is not None:
        return request.epoch
    span = f"{commits.first}..{commits.head}"
    return max(int(line) for line in commits.repo.out("log", "--format=%at", span).split())
