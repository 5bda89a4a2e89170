"""Whom the kernel's own scripts/get_maintainer.pl names for a patch, and who gets which mail."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import packages, proc
from harness.kernel import kmake
from harness.submit.message import Person, Recipients
from harness.trees.git import Repo

SCRIPT = "scripts/get_maintainer.pl"
_LINE = re.compile(r"^(?P<who>.*?\S)(?: \((?P<role>[^:]*?)(?::.*)?\))$")
_LISTS = ("open list", "moderated list", "subscriber list")
_RESPONSIBLE = ("maintainer", "supporter", "odd fixer")
_TIMEOUT = 120.0


@dataclass(frozen=True)
class Named:
    """Somebody whom the script names.

    Attributes:
        person: who.
        role: "maintainer", "reviewer", "open list" and so on.
    """

    person: Person
    role: str

    @property
    def is_list(self) -> bool:
        """A mailing list."""
        return self.role in _LISTS

    @property
    def responsible(self) -> bool:
        """Somebody who could apply the patch."""
        return self.role in _RESPONSIBLE


def parse(output: str) -> tuple[Named, ...]:
    """Read what the script prints with roles."""
    matches = (_LINE.match(line) for line in output.splitlines())
    return tuple(Named(Person.of(found["who"]), found["role"]) for found in matches if found)


def ask(repo: Repo, patches: Sequence[Path]) -> tuple[tuple[Named, ...], ...]:
    """Ask the script in build/tree about each patch; its history is no help, and left aside.

    Raises:
        InfraError: the script failed.
    """

    def named(patch: Path) -> tuple[Named, ...]:
        said = proc.run(
            ["perl", SCRIPT, "--roles", "--norolestats", "--no-git", "--no-git-fallback", patch],
            cwd=repo.path,
            env={"LC_ALL": "C.UTF-8", "PATH": packages.search_path(), "PERL_HASH_SEED": "0"},
            timeout=_TIMEOUT,
        )
        return parse(said.stdout)

    with ThreadPoolExecutor(kmake.jobs()) as pool:
        return tuple(pool.map(named, [patch.resolve() for patch in patches]))


def recipients(named: Iterable[Named], always: Iterable[Person], sender: Person) -> Recipients:
    """To whom a mail goes: To maintainers and lists, Cc everybody else, each once.

    People come before lists and both in the order of their addresses: the script's own order
    depends on the machine's Perl.

    Args:
        named: whom the script names.
        always: who gets everything.
        sender: who submits, and needs no copy.
    """
    seen = {sender.address.lower()}
    to: list[tuple[bool, str, Person]] = []
    cc: list[tuple[str, Person]] = []
    # Whoever is maintainer of one part and reviewer of another is addressed.
    lists = [Named(person, "open list") for person in always]
    everybody = sorted(
        (*lists, *named),
        key=lambda each: (not (each.responsible or each.is_list), str(each.person)),
    )
    for each in everybody:
        key = each.person.address.lower()
        if key in seen:
            continue
        seen.add(key)
        if each.is_list or each.responsible:
            to.append((each.is_list, key, each.person))
        else:
            cc.append((key, each.person))
    return Recipients(
        tuple(person for *_, person in sorted(to, key=lambda entry: entry[:2])),
        tuple(person for _, person in sorted(cc, key=lambda entry: entry[0])),
    )
