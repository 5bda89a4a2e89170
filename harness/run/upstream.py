"""The kernel's own selftests that use LSM programs: found by a rule. Pure but for `discover`.

A test of the kernel is a function `test_NAME` in a file of prog_tests/. It belongs to this suite if
its file embeds a program of progs/ that has a section for the BPF LSM, or asks libbpf about every
program type there is. Of a file with many tests only those count that name such a program.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.run.selftests import Selftest

#: Where the selftests lie in a kernel tree.
FOLDER = Path("tools/testing/selftests/bpf")

_LSM = re.compile(r'\bSEC\("\??lsm')
_PROBE = re.compile(r"\blibbpf_(probe_bpf_prog_type|bpf_prog_type_str)\b")
_INCLUDE = re.compile(r'^#include\s+["<]([\w./-]+)[">]', re.MULTILINE)
_SKELETON = re.compile(r"(\w+)\.(?:skel|lskel|subskel)\.h")
_TEST = re.compile(r"^void (?:serial_)?test_(\w+)\((?:void)?\)", re.MULTILINE)
_DECLARED = re.compile(r"^(?:extern )?(?:noinline )?\w+ (\w+)\((?:void)?\);", re.MULTILINE)
_DEFINED = re.compile(r"^(?:noinline )?\w+ (\w+)\((?:void)?\)\s*\{", re.MULTILINE)
_STARTED = re.compile(r'"\./([\w-]+(?:\.sh)?)[" ]')


@dataclass(frozen=True)
class Suite:
    """What the suite is made of.

    Attributes:
        files: of prog_tests/, without their .c, by name: those of the tests, and those that they
            need to be linked with.
        tests: the tests in them, by name.
        extras: what the tests start besides: programs and scripts, by name.
    """

    files: tuple[str, ...]
    tests: tuple[Selftest, ...]
    extras: tuple[str, ...]


def lsm_programs(sources: Mapping[str, str]) -> frozenset[str]:
    """Which of the files of progs/ hold LSM programs, or include a file that does.

    Args:
        sources: the text of each file by its name, headers included.

    Returns:
        The names of the .c files, without the .c.
    """
    found = {name for name, text in sources.items() if _LSM.search(text)}
    while True:
        more = {
            name
            for name, text in sources.items()
            if name not in found and not found.isdisjoint(_INCLUDE.findall(text))
        }
        if not more:
            return frozenset(name.removesuffix(".c") for name in found if name.endswith(".c"))
        found |= more


def chosen(text: str, programs: frozenset[str]) -> tuple[str, ...]:
    """The tests of one file of prog_tests/ that belong to the suite, in their order.

    Args:
        text: the file.
        programs: what `lsm_programs` returned.
    """
    embedded = {match[1] for name in _INCLUDE.findall(text) if (match := _SKELETON.match(name))}
    used = embedded & programs
    if not used and not _PROBE.search(text):
        return ()
    _, *parts = _TEST.split(text)
    bodies = dict(zip(parts[::2], parts[1::2], strict=True))
    naming = [
        name for name, body in bodies.items() if not used.isdisjoint(re.findall(r"\w+", body))
    ]
    return tuple(naming if len(bodies) > 1 and naming else bodies)


def borrowed(names: frozenset[str], texts: Mapping[str, str]) -> frozenset[str]:
    """The files of prog_tests/ that others take functions from, without `names` themselves.

    Args:
        names: the files whose tests are wanted.
        texts: the text of every file by its name.
    """
    needed = {function for name in names for function in _DECLARED.findall(texts[name])}
    lenders = {
        name
        for name, text in texts.items()
        if name not in names and not needed.isdisjoint(_DEFINED.findall(text))
    }
    return frozenset(lenders)


def discover(tree: Path) -> Suite:
    """The suite of a kernel tree.

    Raises:
        UsageError: there is none in it.
    """
    folder = tree / FOLDER
    programs = lsm_programs(
        {path.name: path.read_text("utf-8") for path in (folder / "progs").glob("*.[ch]")}
    )
    texts = {path.stem: path.read_text("utf-8") for path in (folder / "prog_tests").glob("*.c")}
    tests = sorted(
        (
            Selftest(name, (), folder / f"prog_tests/{file}.c", closed=False)
            for file, text in texts.items()
            for name in chosen(text, programs)
        ),
        key=lambda test: test.name,
    )
    if not tests:
        raise UsageError(f"{folder} has no test with an LSM program")
    files = frozenset(test.source.stem for test in tests)
    extras = {name for file in files for name in _STARTED.findall(texts[file])}
    return Suite(tuple(sorted(files | borrowed(files, texts))), tuple(tests), tuple(sorted(extras)))
