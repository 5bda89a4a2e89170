"""Which C selftests there are, and which of their subtests: read from their sources.

What the runner reports is compared with this list, so that a test that is silently left out is
noticed. The scan is pure; only `discover` touches files.
"""

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.model import ROOT

SOURCES = ROOT / "selftests/prog_tests"

# What has no end ends with the text, or with its line: a text is gone through only once.
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|\"(?:\\.|[^\"\\\n])*(?:\"|(?=\n)|\Z)", re.DOTALL)
_OPTIONS = re.compile(r"^#define KERNEL_OPTIONS \"([^\"\n]*)\"$", re.MULTILINE)
_SUBTEST = re.compile(r"\btest__start_subtest\s*\(\s*\"((?:\\.|[^\"\\])*)\"\s*\)")


@dataclass(frozen=True)
class Selftest:
    """One test: a file of prog_tests/ that is called like it, or a function in one.

    Attributes:
        name: of the test.
        subtests: those that are known from the source.
        source: where it stands.
        options: what the kernel's command line must have for this test.
        closed: `subtests` are all there are; otherwise what the test reports is taken as it comes.
    """

    name: str
    subtests: tuple[str, ...]
    source: Path
    options: tuple[str, ...] = ()
    closed: bool = True

    @property
    def items(self) -> tuple["Item", ...]:
        """The subtests in their order, then the test as a whole."""
        return (*(Item(self.name, subtest) for subtest in self.subtests), Item(self.name))


@dataclass(frozen=True, order=True)
class Item:
    """What gets a verdict: a subtest, or, without one, the test as a whole."""

    test: str
    subtest: str = ""

    @property
    def name(self) -> str:
        """What the user types and the kernel's log says: NAME or NAME/SUBTEST."""
        return f"{self.test}/{self.subtest}" if self.subtest else self.test


def scan(text: str) -> tuple[str, ...]:
    """The subtests that a source starts by a literal name, each once, in order."""
    code = _COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    return tuple(dict.fromkeys(_SUBTEST.findall(code)))


def options(text: str) -> tuple[str, ...]:
    """What a source wants on the kernel's command line: #define KERNEL_OPTIONS "..."."""
    match = _OPTIONS.search(text)
    return tuple(match[1].split()) if match else ()


def _read(path: Path) -> Selftest:
    text = path.read_text("utf-8")
    return Selftest(path.stem, scan(text), path, options(text))


def discover(folder: Path = SOURCES) -> tuple[Selftest, ...]:
    """Every lsm_*.c below `folder`, by name; those that boot alike are neighbours.

    Raises UsageError when there is none: an empty suite would always pass.
    """
    found = sorted(map(_read, folder.glob("lsm_*.c")), key=lambda test: (test.options, test.name))
    if not found:
        raise UsageError(f"no C selftest (lsm_*.c) lies in {folder}: run 'make patches'")
    return tuple(found)


def booted_with(tests: Iterable[Selftest], options: Sequence[str]) -> tuple[Selftest, ...]:
    """The tests, in machines that have `options`, too, on the kernel's command line."""
    return tuple(replace(test, options=(*options, *test.options)) for test in tests)


def choose(tests: Sequence[Selftest], wanted: Iterable[str]) -> tuple[Item, ...]:
    """The items that the user's names mean, in the order of the sources; no name means all.

    A name is NAME, NAME/SUBTEST, or a shell pattern of either. Raises UsageError for one that
    matches nothing, and suggests what may have been meant.
    """
    items = [item for test in tests for item in test.items]
    wanted = list(wanted)
    if not wanted:
        return tuple(items)
    chosen: set[Item] = set()
    for name in wanted:
        matching = {item for item in items if _means(name, item)}
        if not matching:
            raise UsageError(_unknown(name, [item.name for item in items]))
        chosen |= matching
    return tuple(item for item in items if item in chosen)


def _means(pattern: str, item: Item) -> bool:
    """NAME means a test with all its subtests, NAME/SUBTEST one of them."""
    return fnmatch.fnmatchcase(item.name if "/" in pattern else item.test, pattern)


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close += [other for other in known if name in other and other not in close][: 3 - len(close)]
    hint = f"did you mean {' or '.join(close)}?" if close else "--list shows them all."
    return f"no test is called '{name}'; {hint}"


def patterns(test: Selftest, wanted: Sequence[Item]) -> tuple[str, ...]:
    """The runner's arguments for these items of one test. Names are quoted against its globbing."""
    subtests = [item.subtest for item in wanted if item.subtest]
    if not subtests or set(subtests) == set(test.subtests):
        return (_literal(test.name),)
    return tuple(f"{_literal(test.name)}/{_literal(subtest)}" for subtest in subtests)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", name)
