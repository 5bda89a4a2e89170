"""What the tools of submitters and maintainers make of a submission: git send-email and b4."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_string
from email.utils import getaddresses
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import proc
from harness.errors import KrsiError, UsageError
from harness.submit.message import Message, Person
from harness.trees import series
from harness.trees.git import Repo

#: Each mail goes as it lies: what it says of its thread and its recipients is right already, and
#: nobody is added whom a patch only mentions.
SEND = (
    *("send-email", "--no-thread", "--no-chain-reply-to", "--no-format-patch", "--no-annotate"),
    *(f"--suppress-cc={kind}" for kind in ("author", "self", "body", "cccmd")),
    "--confirm=never",
)
_LOG = re.compile(r"^(?:Dry-)?OK\. Log says:\n((?:.+\n)*)", re.MULTILINE)
_GOES_TO = re.compile(r"^RCPT TO:<(.+)>$", re.MULTILINE)
_TIMEOUT = 600.0
_FIELDS = "%x1e%T%x1f%an%x1f%ae%x1f%s%x1f%B"
_CONFIG = """\
[b4]
	attestation-policy = off
"""


@dataclass(frozen=True)
class Commit:
    """What must survive the way through mail.

    Attributes:
        files: the hash of all files after it.
        author: name and address.
        subject: its first line.
        text: all that it says, the submitter's sign-off left aside.
    """

    files: str
    author: str
    subject: str
    text: str


@dataclass(frozen=True)
class _Taken:
    """What must be left of a mail when git send-email sends it."""

    msg_id: str
    answers: str
    goes_to: frozenset[str]

    @classmethod
    def of(cls, message: Message) -> "_Taken":
        """As we wrote it."""
        people = getaddresses([message.head.get(name, "") for name in ("To", "Cc")])
        addresses = frozenset(address.lower() for _, address in people if address)
        return cls(message.msg_id, message.head.get("In-Reply-To", ""), addresses)

    @classmethod
    def parse(cls, log: str) -> "_Taken":
        """As the log of git send-email has it."""
        head = message_from_string(log[log.find("From: ") :])
        goes_to = frozenset(address.lower() for address in _GOES_TO.findall(log))
        return cls(head.get("Message-Id", ""), head.get("In-Reply-To", ""), goes_to)


def identity(folder: Path) -> Person:
    """The submitter, as their own git knows them; nothing is guessed.

    Raises:
        UsageError: git knows no name or no address.
    """
    asked = proc.run(
        ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"],
        cwd=folder,
        check=None,
    )
    person = Person.of(asked.stdout.rpartition(">")[0] + ">") if asked.ok else Person("", "")
    if not person.name or "@" not in person.address:
        raise UsageError(
            "git does not know who signs the patches off: `git config --global user.name 'Your "
            "Name'` and `git config --global user.email you@example.org` tell it."
        )
    return person


def would_send(repo: Repo, messages: Sequence[Message], files: Sequence[Path]) -> tuple[str, ...]:
    """What `git send-email --dry-run` has against the mails; it connects to nobody."""
    said = repo.run(*SEND, "--dry-run", f"--from={messages[0].head['From']}", *files, check=None)
    if not said.ok:
        return (f"git send-email {said.why}",)
    taken = [_Taken.parse(log) for log in _LOG.findall(said.stdout)]
    wanted = [_Taken.of(message) for message in messages]
    if len(taken) != len(wanted):
        return (f"git send-email takes {len(taken)} of {len(wanted)} mails",)
    return tuple(
        f"{message.name}: git send-email makes another id, answer or list of recipients of it"
        for message, ours, its in zip(messages, wanted, taken, strict=True)
        if ours != its
    )


def round_trip(
    repo: Repo, mbox: Path, commits: tuple[str, str], submitter: Person
) -> tuple[str, ...]:
    """Let `b4 am` read the mbox, apply what it makes of it, and compare the commits.

    Args:
        repo: build/tree.
        mbox: all mails.
        commits: what the patches stand on, and the last of those they were made from.
        submitter: whose sign-off is all that may have been added.
    """
    base, head = commits
    with _private_home() as home:
        command: list[str | Path] = [Path(sys.prefix) / "bin/b4", "--offline-mode", "am"]
        options = ["--no-cache", "--no-add-trailers", "--mbox-name=series", f"--outdir={home}"]
        said = proc.run(
            [*command, *options, "--use-local-mbox", mbox.resolve()],
            cwd=repo.path,
            env={
                **{name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")},
                "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            timeout=_TIMEOUT,
            check=None,
        )
        found = sorted(home.glob("*.mbx"))
        if not said.ok or len(found) != 1:
            return (f"b4 am {said.why}",)
        try:
            tip = series.apply(repo, base, (series.Patch(found[0], 1, "", ""),))
        except KrsiError as error:
            return (f"what b4 am makes of it: {error}",)
    ours, theirs = (_commits(repo, base, commit, submitter) for commit in (head, tip))
    if len(ours) != len(theirs):
        return (f"b4 am makes {len(theirs)} commits of {len(ours)}",)
    faults = [
        f"{mine.subject}: b4 am gives another {what}"
        for mine, its in zip(ours, theirs, strict=True)
        for what in ("author", "subject", "text", "files")
        if getattr(mine, what) != getattr(its, what)
    ]
    if _patch_ids(repo, base, head) != _patch_ids(repo, base, tip):
        faults.append("b4 am gives other patch-ids")
    return tuple(faults)


def send(folder: Path, sender: Person, files: Sequence[Path]) -> None:
    """Send the mails, by the user's own configuration of git send-email.

    Raises:
        UsageError: it did not send all of them.
    """
    status = proc.interact(["git", *SEND, f"--from={sender.header}", *files], cwd=folder)
    if status:
        raise UsageError(
            f"git send-email ended with status {status}: see above what was sent, and send the "
            f"rest with `git {' '.join(SEND[:3])} FILE…`."
        )


@contextmanager
def _private_home() -> Iterator[Path]:
    """A home for tools that read and write theirs, gone afterwards."""
    with TemporaryDirectory(prefix="krsi-submit.") as name:
        home = Path(name)
        (home / ".gitconfig").write_text(_CONFIG, encoding="utf-8")
        yield home


def _commits(repo: Repo, base: str, head: str, submitter: Person) -> tuple[Commit, ...]:
    """The commits after `base` up to `head`."""
    log = repo.out("log", "--reverse", f"--format={_FIELDS}", f"{base}..{head}")
    signed = f"Signed-off-by: {submitter}"
    found = []
    for entry in log.split("\x1e")[1:]:
        files, name, address, subject, text = entry.split("\x1f")
        kept = [line for line in text.strip().splitlines() if line != signed]
        said = "\n".join(kept).strip()
        found.append(Commit(files, f"{name} <{address}>", subject, said))
    return tuple(found)


def _patch_ids(repo: Repo, base: str, head: str) -> list[str]:
    """A hash of what each commit changes."""
    log = repo.run("log", "--reverse", "-p", "--full-index", f"{base}..{head}").stdout
    said = repo.run("patch-id", "--stable", stdin=log).stdout
    return [line.split()[0] for line in said.splitlines()]
