"""The cover letter of a submission: what was written by hand, and what the commits say.

The text is kernel-patches/cover-letter.txt; what has changed since the version before is written in
kernel-patches/changelog.txt, a section `v2` for each version. No I/O in here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError

CHANGELOG = "changelog.txt"
_SECTION = re.compile(r"^v(\d+):?[ \t]*$", re.MULTILINE)
_BASE = re.compile(r"^(?:base-commit|prerequisite-patch-id): [0-9a-f]{40}$", re.MULTILINE)


@dataclass(frozen=True)
class Letter:
    """The parts of a cover letter.

    Attributes:
        text: why, by hand.
        changes: what has changed, by version, by hand.
        range_diff: what has changed since the version before, by git.
        before: link to the version before; empty if this is the first one.
        overview: who wrote what, and the diffstat.
        origin: what the base is called.
        base: the lines by which a machine finds the base.
    """

    text: str
    changes: Mapping[int, str]
    range_diff: str
    before: str
    overview: Sequence[str]
    origin: str
    base: str


def changes(text: str, version: int) -> dict[int, str]:
    """The sections of a changelog up to a version, the latest first.

    Raises:
        UsageError: a line stands before the first section, or a version has two.
    """
    start, *parts = _SECTION.split(text)
    if any(line.strip() and not line.startswith("#") for line in start.splitlines()):
        raise UsageError(f"kernel-patches/{CHANGELOG}: its first line is no version, as in `v2`.")
    found: dict[int, str] = {}
    for number, section in zip(parts[::2], parts[1::2], strict=True):
        if int(number) in found:
            raise UsageError(f"kernel-patches/{CHANGELOG}: v{number} stands there twice.")
        found[int(number)] = section.strip("\n").rstrip()
    return {number: found[number] for number in sorted(found, reverse=True) if number <= version}


def base_lines(letter: str) -> str:
    """What `git format-patch --base` says in its cover letter: base and prerequisites."""
    return "\n".join(_BASE.findall(letter))


def render(letter: Letter, version: int) -> str:
    """The letter's body."""
    sections = [f"Changes in v{number}:\n{text}" for number, text in letter.changes.items() if text]
    if letter.before:
        sections.append(f"v{version - 1}: {letter.before}")
    difference = ""
    if letter.range_diff:
        difference = f"Range-diff against v{version - 1}:\n{letter.range_diff}"
    parts = (letter.text, *sections, difference, *letter.overview, f"Base: {letter.origin}")
    return "\n\n".join(part for part in parts if part) + f"\n\n{letter.base}\n"
