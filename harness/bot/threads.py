"""Which of the mails are the series: threads, versions, rerolls, and what is missing. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from harness.bot.mail import Mail, Tag
from harness.errors import UsageError

#: More patches than this are no series for a bot.
MOST_PATCHES = 200


@dataclass(frozen=True)
class Series:
    """A series to be checked.

    Attributes:
        version: of the series.
        total: how many patches it says that it has.
        cover: its cover letter, if there is one.
        patches: its patches, by number.
        missing: the numbers that are not there.
        faults: what is wrong with it as a series.
        notes: what a reader should know besides.
    """

    version: int
    total: int
    cover: Mail | None
    patches: tuple[Mail, ...]
    missing: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def head(self) -> Mail:
        """What is answered: the cover letter, or the first patch."""
        return self.cover or self.patches[0]

    @property
    def title(self) -> str:
        """What it is called."""
        return self.head.title

    @property
    def mails(self) -> tuple[Mail, ...]:
        """All of its mails."""
        return (*([self.cover] if self.cover else []), *self.patches)


def plan(mails: Sequence[Mail]) -> tuple[Series, ...]:
    """The series among mails, in the order in which they came; of each its last version.

    Answers and mails about something else are left aside. A version that brings only some of
    its patches is laid over the one before, which is what its sender means.

    Raises:
        UsageError: there is no patch.
    """
    known = {mail.message_id: mail for mail in mails if mail.message_id}
    groups: dict[tuple[str, int, int], list[Mail]] = {}
    answered = {mail.parents[0] for mail in mails if mail.parents}
    for mail in mails:
        if tag := mail.tag:
            root = _root(mail, known) if mail.parents else _alone(mail, tag, answered)
            groups.setdefault((root, tag.version, tag.total), []).append(mail)
    found = [series for group in groups.values() for series in _of_group(group)]
    if not found:
        raise UsageError(
            f"none of {len(mails)} mails is a patch: a subject says [PATCH], and a diff follows."
        )
    return _newest(found)


def _root(mail: Mail, known: Mapping[str, Mail]) -> str:
    """The eldest mail of the thread, as far as it leads."""
    seen: set[str] = set()
    current = mail
    while current.parents and current.parents[0] not in seen:
        seen.add(current.parents[0])
        if current.parents[0] not in known:
            return current.parents[0]
        current = known[current.parents[0]]
    return current.message_id


def _alone(mail: Mail, tag: Tag, answered: Collection[str]) -> str:
    """The thread of a mail that answers none.

    Where nobody answers it either, as git format-patch leaves patches, its siblings are those
    beside it.
    """
    if tag.total == 1 or mail.message_id in answered:
        return mail.message_id or f"#{mail.place}"
    return ""


def _of_group(group: Sequence[Mail]) -> Iterable[Series]:
    """The series of one thread, version and length; none if nothing can be applied."""
    cover: Mail | None = None
    patches: dict[int, Mail] = {}
    faults = []
    for mail in group:
        tag = mail.tag or Tag()
        if tag.number == 0:
            cover = cover or mail
        elif not mail.has_diff:
            faults.append(f"{tag.text} has no diff that can be read")
        elif tag.number in patches:
            faults.append(f"two mails say {tag.text}: the first one is taken")
        else:
            patches[tag.number] = mail
    if not patches:
        return
    first = (group[0].tag or Tag()).total
    beyond = sorted(number for number in patches if number > first)
    faults += [f"there is a patch {number} of {first}" for number in beyond]
    if first > MOST_PATCHES:
        faults.append(f"it says that it has {first} patches: {MOST_PATCHES} are the limit")
    total = min(first, MOST_PATCHES)
    missing = tuple(number for number in range(1, total + 1) if number not in patches)
    yield Series(
        version=(group[0].tag or Tag()).version,
        total=first,
        cover=cover,
        patches=tuple(patches[number] for number in sorted(patches)),
        missing=missing,
        faults=tuple(faults),
    )


def _newest(found: Sequence[Series]) -> tuple[Series, ...]:
    """Of each series the last version, completed from the one before where it is partial."""
    versions: dict[str, list[Series]] = {}
    names: dict[str, str] = {}
    for series in found:
        name = _name(series, names)
        versions.setdefault(name, []).append(series)
        for mail in series.mails:
            names.setdefault(mail.message_id or mail.title, name)
    chosen = []
    for group in versions.values():
        group.sort(key=lambda each: each.version)
        newest = group[0]
        for older, newer in pairwise(group):
            newest = _lay_over(newest, newer) if newer.version > older.version else newer
        chosen.append(newest)
    return tuple(chosen)


def _name(series: Series, names: dict[str, str]) -> str:
    """What all versions of a series have in common: the thread it answers to, or its title."""
    for parent in series.head.parents:
        if parent in names:
            return names[parent]
    return series.title.casefold() or series.head.message_id


def _lay_over(older: Series, newer: Series) -> Series:
    """The newer version, its gaps filled from the older one of the same length."""
    note = f"version {newer.version} takes the place of version {older.version}"
    if not newer.missing or newer.cover or older.total != newer.total:
        return _noting(newer, note)
    numbered = {(mail.tag or Tag()).number: mail for mail in older.patches}
    filled = {number: numbered[number] for number in newer.missing if number in numbered}
    own = {(mail.tag or Tag()).number: mail for mail in newer.patches}
    everything = {**filled, **own}
    borrowed = ", ".join(map(str, sorted(filled))) or "none"
    return replace(
        newer,
        cover=older.cover,
        patches=tuple(everything[number] for number in sorted(everything)),
        missing=tuple(number for number in newer.missing if number not in filled),
        notes=(*newer.notes, f"{note}, but for the patches that it lacks: {borrowed}"),
    )


def _noting(series: Series, note: str) -> Series:
    return replace(series, notes=(*series.notes, note))
