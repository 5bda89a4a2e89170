"""What GitHub Actions shows: annotations at the lines of sources, and the job's summary. Pure.

An annotation is a line on standard output, the summary a file that a variable names; both only
where GITHUB_ACTIONS says so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.report import html
from harness.report.compare import Comparison
from harness.report.results import Result, Results
from harness.report.text import bounded, one_line

#: What GitHub takes for a summary, in bytes; we stay well below.
SUMMARY_LIMIT = 512 << 10
_MESSAGE = 4000
_FAILURES = 50
_ASSERTION = re.compile(r"^(?P<file>[\w./-]+\.[ch]):(?P<line>\d+): ")
_FRAME = re.compile(r"\((?P<file>[\w./-]+\.[chS]):(?P<line>\d+)\)\s*$")
_TESTS = "tools/testing/selftests/bpf/"
_VIEWS = ((_TESTS, "selftests/"), ("security/bpf/", "security/bpf/"), ("tools/lib/bpf/",) * 2)


@dataclass(frozen=True)
class Place:
    """A line of a source file."""

    file: str
    line: int


Exists = Callable[[str], bool]


def place(item: Result, exists: Exists) -> Place | None:
    """Where an item failed: at the first assertion, or where the kernel complained.

    Args:
        item: that failed.
        exists: whether there is such a file in the repository; others GitHub cannot show.
    """
    said = [_ASSERTION.match(line) for line in item.diagnostics]
    assertions = [Place(f"{_TESTS}{m['file']}", int(m["line"])) for m in said if m]
    lines = [line for found in item.splats for line in found.lines]
    frames = [Place(m["file"], int(m["line"])) for line in lines if (m := _FRAME.search(line))]
    # In a trace the first line of ours is the culprit, not the helper that it has called.
    shown = (_in_repository(each, exists) for each in (*assertions, *frames))
    return next((each for each in shown if each is not None), None)


def _in_repository(found: Place, exists: Exists) -> Place | None:
    """The same line in the view of the series that lies in the repository."""
    for kernel, view in _VIEWS:
        if found.file.startswith(kernel):
            file = view + found.file.removeprefix(kernel)
            return Place(file, found.line) if exists(file) else None
    return None


def annotations(found: Results, exists: Exists) -> Iterator[str]:
    """A line for each failure, and for what befell a kernel outside of any test."""
    for failure in html.failures(found, {}):
        item = failure.item
        asserted = [line for line in item.diagnostics if ":FAIL:" in line]
        said = dict.fromkeys((item.message, *asserted, *(each.title for each in item.splats)))
        where = place(item, exists)
        at = {"file": where.file, "line": str(where.line)} if where else {}
        title = f"{item.name} {failure.word} on {item.variant}"
        yield _command({**at, "title": title}, bounded(said, _MESSAGE))
    for kernel in found.kernels:
        for stray in kernel.strays:
            title = f"{stray.kind} on {kernel.variant} during {stray.section or 'boot'}"
            yield _command({"title": title}, bounded(stray.lines, _MESSAGE))
        if kernel.error:
            yield _command({"title": f"{kernel.variant} was not tested"}, kernel.error)


def _command(properties: dict[str, str], message: str) -> str:
    """A workflow command; nothing in it can end it and begin another one."""
    words = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {words}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(one_line(text)).replace(":", "%3A").replace(",", "%2C")


def summary(found: Results, comparison: Comparison | None) -> str:
    """The job's summary, as Markdown."""
    mark = "✅" if found.exit_code == 0 else "❌"
    lines = [f"## {mark} KRSI {found.suite}: {html.verdict(found)}", ""]
    lines += ["| kernel | release | result |", "| --- | --- | --- |"]
    for kernel in found.kernels:
        counts = ", ".join(f"{s.count} {s.word}" for s in html.shares(found.of(kernel.variant)))
        lines.append(_row(kernel.variant, kernel.release, kernel.error or counts))
    if comparison:
        lines += ["", f"### Against {_code(comparison.baseline)}", ""]
        lines += [
            f"- {name}: {_code(line)}" for name, each in comparison.groups.items() for line in each
        ] or ["No difference."]
    failures = html.failures(found, {})
    lines += ["", *(["### Failures", ""] if failures else [])]
    for failure in failures[:_FAILURES]:
        where = f"on {_plain(failure.item.variant)}: {failure.word}"
        lines += [f"#### {_code(failure.item.name)} {where}", ""]
        lines += [_block(_explain(failure.item)), "", _code(failure.rerun), ""]
    if len(failures) > _FAILURES:
        lines.append(f"{len(failures) - _FAILURES} more failures are in report.html.")
    return _cut("\n".join(lines) + "\n")


def _explain(item: Result) -> str:
    splats = [line for found in item.splats for line in found.lines]
    return bounded((item.message, *item.diagnostics, *splats), _MESSAGE)


def _row(*words: str) -> str:
    return f"| {' | '.join(_plain(word) for word in words)} |"


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing but text."""
    escaped = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{one_line(text).replace('`', 'ˋ')}`"


def _block(text: str) -> str:
    """A block of code that nothing in it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[:SUMMARY_LIMIT].decode("utf-8", "ignore")
