"""The results as KTAP version 1, which the kernel's own tools read. Pure.

Each C test on each kernel is a test, with its subtests below it. What befell a kernel outside of
any test is one that is not ok.
"""

from collections.abc import Iterator, Sequence

from harness.model import Status
from harness.report.results import Result, Results
from harness.report.text import clean, one_line
from harness.verdicts.ktap import INDENT

_DIRECTIVES = {Status.SKIP: "SKIP", Status.XFAIL: "XFAIL", Status.HANG: "TIMEOUT"}
#: Parsers expect a name to end where a directive begins.
_HASH = "\N{FULLWIDTH NUMBER SIGN}"


def render(found: Results) -> str:
    """The content of results.ktap."""
    tests: dict[tuple[str, str, int], list[Result]] = {}
    for item in found.items:
        tests.setdefault((item.variant, item.test, item.round), []).append(item)
    beside = [
        (kernel.variant, line)
        for kernel in found.kernels
        for line in (kernel.error, *(f"{stray.kind}: {stray.title}" for stray in kernel.strays))
        if line
    ]
    lines = ["KTAP version 1", f"1..{len(tests) + len(beside)}"]
    for number, ((variant, test, turn), items) in enumerate(tests.items(), 1):
        lines += _test(number, f"{test}[{variant}]" + _round(found, turn), items)
    for number, (variant, what) in enumerate(beside, len(tests) + 1):
        lines += [f"# {one_line(what)}", f"not ok {number} {variant} {number}"]
    return "\n".join(lines) + "\n"


def _round(found: Results, turn: int) -> str:
    return f" round {turn}" if found.rounds > 1 else ""


def _test(number: int, name: str, items: Sequence[Result]) -> Iterator[str]:
    """One C test on one kernel, in one round."""
    subtests = [item for item in items if "/" in item.name]
    if subtests:
        yield from (" " * INDENT + line for line in _subtests(name, subtests))
    whole = next((item for item in items if "/" not in item.name), None)
    if whole is None:
        # The test as a whole was not asked for: it is as good as what was.
        good = all(item.fine for item in subtests)
        yield f"{'ok' if good else 'not ok'} {number} {_name(name)}"
    else:
        yield from _result(number, name, whole)


def _subtests(name: str, subtests: Sequence[Result]) -> Iterator[str]:
    yield from ("KTAP version 1", f"# Subtest: {_name(name)}", f"1..{len(subtests)}")
    for number, item in enumerate(subtests, 1):
        yield from _result(number, item.name.partition("/")[2], item)


def _result(number: int, name: str, item: Result) -> Iterator[str]:
    """What it printed, and its line; that nothing is known of one is not ok either."""
    lines = [*item.diagnostics, *(line for found in item.splats for line in found.lines)]
    if not item.fine:
        yield from (f"#   {line}" for said in lines for line in clean(said).splitlines())
    directive = _DIRECTIVES.get(item.status, "")
    message = one_line(item.message).replace("#", _HASH)
    why = f" # {directive} {message}".rstrip() if directive else ""
    if not item.fine and not directive:
        yield f"# {item.status.value}: {message}"
    good = "ok" if item.fine else "not ok"
    yield f"{good} {number} {_name(name)}{why}"


def _name(name: str) -> str:
    """A name that no parser takes for more, and that is one."""
    return one_line(name).replace("#", _HASH) or "?"
