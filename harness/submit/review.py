"""What a maintainer's bot would say of a submission: each check is a pure function of its mails."""

import mailbox
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.submit import cover, maintainers
from harness.submit.message import MSG_ID, Message, Person, Recipients

_SIGNED = re.compile(r"^Signed-off-by: (.+)$", re.MULTILINE)
_AUTHOR = re.compile(r"From: (.+)\n\n")
_IN_BRACKETS = re.compile(rf"<{MSG_ID.pattern}>")
_COMMAND = re.compile(r"^(?:fixup|squash|amend)! |^(?:WIP|DO NOT MERGE)\b", re.IGNORECASE)
#: Columns that the text of a cover letter may have.
WIDTH = 75
_BLANKS = ("*** SUBJECT HERE ***", "*** BLURB HERE ***")


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes:
        name: what was checked.
        faults: what is wrong, a line each.
        way_out: what to do about it.
        note: what is worth knowing when nothing is wrong.
        allowed: the faults were seen, and the user wants them forgiven.
    """

    name: str
    faults: tuple[str, ...] = ()
    way_out: str = ""
    note: str = ""
    allowed: bool = False

    @property
    def verdict(self) -> str:
        """One word."""
        if not self.faults:
            return "ok"
        return "allowed" if self.allowed else "FAILED"

    @property
    def well(self) -> bool:
        """It stops nothing."""
        return not self.faults or self.allowed


def subject_faults(messages: Sequence[Message], prefix: str) -> tuple[str, ...]:
    """Mails whose [PATCH … n/m] is not their place, or that say they are not ready."""
    count = len(messages) - 1
    width = len(str(count))
    found = []
    for number, message in enumerate(messages):
        wanted = f"[{prefix} {number:0{width}}/{count}] "
        rest = message.subject.removeprefix(wanted)
        if rest == message.subject:
            found.append(f"{message.name}: its subject does not begin with {wanted.strip()}")
        elif not rest or _COMMAND.search(rest):
            found.append(f"{message.name}: {rest or 'nothing'!r} is no subject")
    return tuple(found)


def cover_faults(letter: Message, text: str | None) -> tuple[str, ...]:
    """What is missing from the cover letter.

    Args:
        letter: the mail.
        text: what was written by hand; None if nothing was.
    """
    said = letter.body.decode("utf-8", "replace")
    found = [f"{blank} was left in it" for blank in _BLANKS if blank in f"{letter.subject}\n{said}"]
    if not text:
        found.append("it says nothing")
    if not re.search(r"^ \d+ files? changed", said, re.MULTILINE):
        found.append("it has no diffstat")
    wide = [line for line in (text or "").splitlines() if len(line) > WIDTH and " " in line.strip()]
    found += [f"more than {WIDTH} columns: {line}" for line in wide]
    return tuple(found)


def changelog_faults(sections: Mapping[int, str], version: int) -> tuple[str, ...]:
    """The versions that do not say what has changed since the one before."""
    missing = [number for number in range(2, version + 1) if not sections.get(number)]
    return tuple(f"nothing says what has changed in v{number}" for number in missing)


def base_faults(letter: Message, base: str, prerequisites: int) -> tuple[str, ...]:
    """A machine must find the base: where git says it, once, and as much as there is to say."""
    said = cover.base_lines(letter.body.decode("utf-8", "replace")).splitlines()
    found = []
    if said[:1] != [f"base-commit: {base}"]:
        found.append(f"the cover letter does not say base-commit: {base}")
    if len(said) - 1 != prerequisites:
        found.append(f"{len(said) - 1} prerequisite-patch-id lines, {prerequisites} prerequisites")
    return tuple(found)


def thread_faults(path: Path, messages: Sequence[Message]) -> tuple[str, ...]:
    """Whether the mbox, read back, is one thread: all answer the first, each with its own id."""
    box = mailbox.mbox(path, create=False)
    read = list(box)
    box.close()
    if len(read) != len(messages):
        many = f"{path.name} reads as {len(read)} mails, not {len(messages)}"
        return (f"{many}: a line of a text begins with 'From '",)
    ids = [str(mail["Message-ID"] or "") for mail in read]
    found = [
        f"{message.name}: {msg_id or 'no Message-ID'!s} is no id of RFC 2822"
        for message, msg_id in zip(messages, ids, strict=True)
        if not _IN_BRACKETS.fullmatch(msg_id)
    ]
    found += [f"{msg_id} is the id of {n} mails" for msg_id, n in Counter(ids).items() if n > 1]
    for message, mail in zip(messages[1:], read[1:], strict=True):
        if (mail["In-Reply-To"], mail["References"]) != (ids[0], ids[0]):
            found.append(f"{message.name}: does not answer the cover letter")
    return tuple(found)


def sign_off_faults(messages: Iterable[Message], submitter: Person) -> tuple[str, ...]:
    """Patches whose text does not end with the submitter's sign-off, or lacks the author's."""
    found = []
    for message in messages:
        text = message.text.rstrip()
        signed = _SIGNED.findall(text)
        last = text.splitlines()[-1] if text else ""
        if last != f"Signed-off-by: {submitter}":
            found.append(f"{message.name}: does not end with the sign-off of {submitter}")
        author = _AUTHOR.match(text)
        if author and Person.of(author[1]).address not in {Person.of(s).address for s in signed}:
            found.append(f"{message.name}: its author, {author[1]}, has not signed it off")
    return tuple(found)


def recipient_faults(
    messages: Sequence[Message],
    named: Sequence[Sequence[maintainers.Named]],
    whom: Sequence[Recipients],
) -> tuple[str, ...]:
    """Patches that nobody could apply, and recipients of a patch who do not get the cover letter.

    Args:
        messages: the patches, without the cover letter.
        named: whom get_maintainer.pl names, by patch.
        whom: who gets each mail, the cover letter's first.
    """
    found = [
        f"{message.name}: get_maintainer.pl names no maintainer"
        for message, people in zip(messages, named, strict=True)
        if not any(each.responsible for each in people)
    ]
    found += [
        f"{message.name}: goes to no list"
        for message, people in zip(messages, named, strict=True)
        if not any(each.is_list for each in people)
    ]
    first, *others = whom
    strangers = sorted({address for each in others for address in each.addresses - first.addresses})
    return (*found, *(f"{address} does not get the cover letter" for address in strangers))
