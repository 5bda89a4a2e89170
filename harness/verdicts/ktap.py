"""Read KTAP, the kernel's test anything protocol, into a tree. Pure: text in, values out.

The grammar is Documentation/dev-tools/ktap.rst of the kernel. The parser is strict where a
mistake could hide a failure and forgiving where it could not: a line that is not KTAP is kept
as a diagnostic, whereas a missing plan, a wrong number or a block without its result is a
`problem`, and a report with a problem is no proof that anything passed.

    KTAP version 1
    1..1
        KTAP version 1
        # Subtest: lsm_attach
        # running: pin
        ok 1 pin
        1..1
    ok 1 lsm_attach
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

INDENT = 4
"""Spaces by which the lines of a nested block are indented."""

MAX_DEPTH = 8
"""Blocks within blocks; what lies deeper is not KTAP."""

_VERSION = re.compile(r"KTAP version (\d{1,9})$")
_SUBTEST = re.compile(r"# Subtest: (.+)$")
_RUNNING = re.compile(r"# running: (.+)$")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?: # ?(.*))?$")
_COMMENT = re.compile(r"# ?(.*)$")
_RESULT = re.compile(r"(?P<ok>ok|not ok) (?P<number>\d{1,9})(?: -)?(?P<rest>(?: .*)?)$")
_DIRECTIVE = re.compile(r"(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b:?\s*(.*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """One line of result, with what was nested in front of it.

    Attributes:
        name: the description; never contains the names of the parents.
        ok: what the line said, or None when the block began and its result never came.
        number: the result's number in its block, 0 when it never came.
        directive: SKIP, TODO, XFAIL, TIMEOUT, ERROR, or "" for none.
        reason: the text behind the directive.
        diagnostics: the lines before the result, without their "# ".
        results: the nested results, in order of arrival.
        running: the nested test that had begun and not ended, or "".
    """

    name: str
    ok: bool | None
    number: int = 0
    directive: str = ""
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    results: tuple["Result", ...] = ()
    running: str = ""


@dataclass(frozen=True)
class Report:
    """A whole file of KTAP.

    Attributes:
        results: the outermost results.
        problems: why this report is not to be trusted; empty for a sound one.
        diagnostics: what belongs to no result.
        running: the outermost test that had begun and not ended, or "".
    """

    results: tuple[Result, ...]
    problems: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    running: str = ""

    def flat(self) -> dict[str, Result]:
        """Every result by its path, as in "lsm_attach/pin".

        Of two results with the same path the one that did not succeed stands.
        """
        found: dict[str, Result] = {}
        for path, result in _flatten("", self.results):
            if path not in found or found[path].ok:
                found[path] = result
        return found


def _flatten(prefix: str, results: tuple[Result, ...]) -> Iterator[tuple[str, Result]]:
    for result in results:
        yield prefix + result.name, result
        yield from _flatten(f"{prefix}{result.name}/", result.results)


@dataclass
class _Block:
    """One level of nesting while it is being read."""

    name: str = ""
    has_version: bool = False
    plan: int | None = None
    running: str = ""
    results: list[Result] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    pending: list[str] = field(default_factory=list)

    def problems(self, where: str) -> Iterator[str]:
        """What is wrong with a block that has ended."""
        if self.plan is None:
            yield f"{where}: the plan (1..N) is missing, the report is truncated"
        elif self.plan != len(self.results):
            yield f"{where}: {self.plan} results were planned, {len(self.results)} came"


class _Parser:
    """The state between two lines: a stack of blocks, the outermost first."""

    def __init__(self) -> None:
        self.stack = [_Block()]
        self.problems: list[str] = []
        self._handlers: tuple[tuple[re.Pattern[str], Callable[[int, re.Match[str]], bool]], ...] = (
            (_VERSION, self._version),
            (_SUBTEST, self._subtest),
            (_RESULT, self._result),
            (_PLAN, self._plan),
            (_RUNNING, self._running),
            (_COMMENT, self._comment),
        )

    def where(self) -> str:
        """The path of the innermost block, for messages."""
        return "/".join(block.name or "?" for block in self.stack[1:]) or "report"

    def problem(self, text: str) -> None:
        """Note a problem of the innermost block."""
        self.problems.append(f"{self.where()}: {text}")

    def feed(self, line: str) -> None:
        """Take one line without its line feed."""
        text = line.lstrip(" ")
        depth, odd = divmod(len(line) - len(text), INDENT)
        if odd or depth > min(len(self.stack), MAX_DEPTH) or not self._take(depth, text):
            self.stack[-1].pending.append(line.strip())

    def _take(self, depth: int, text: str) -> bool:
        """Handle `text` if it is KTAP and may stand at `depth`."""
        for pattern, handle in self._handlers:
            if match := pattern.match(text):
                return handle(depth, match)
        return False

    def _block(self, depth: int) -> _Block:
        """The block whose lines are indented by `depth`, or the innermost above it."""
        return self.stack[min(depth, len(self.stack) - 1)]

    def _running(self, depth: int, match: re.Match[str]) -> bool:
        self._block(depth).running = match[1]
        return True

    def _comment(self, depth: int, match: re.Match[str]) -> bool:
        self._block(depth).pending.append(match[1])
        return True

    def _version(self, depth: int, match: re.Match[str]) -> bool:
        version = int(match[1])
        if depth == len(self.stack):
            self.stack.append(_Block())
        elif depth < len(self.stack) - 1 or self.stack[-1].has_version:
            self.problem("a second KTAP header where the block had not ended")
        self.stack[-1].has_version = True
        if version != 1:
            self.problem(f"KTAP version {version} is not known, 1 is")
        return True

    def _subtest(self, depth: int, match: re.Match[str]) -> bool:
        if depth == len(self.stack):
            self.stack.append(_Block())
        if depth != len(self.stack) - 1 or depth == 0:
            return False
        self.stack[-1].name = match[1]
        return True

    def _plan(self, depth: int, match: re.Match[str]) -> bool:
        if depth != len(self.stack) - 1:
            return False
        if self.stack[-1].plan is not None:
            self.problem("a second plan")
        self.stack[-1].plan = int(match[1])
        return True

    def _result(self, depth: int, match: re.Match[str]) -> bool:
        if depth == len(self.stack):
            self.stack.append(_Block())
        nested = self._close_down_to(depth)
        block = self.stack[-1]
        if not block.has_version:
            self.problem("results without a KTAP header")
            block.has_version = True
        name, directive, reason = _split(match["rest"].strip())
        if nested and nested.name and nested.name != name:
            self.problem(f"the result of '{nested.name}' is called '{name}'")
        if int(match["number"]) != len(block.results) + 1:
            self.problem(f"result number {match['number']} where {len(block.results) + 1} is due")
        if name in block.names:
            self.problem(f"'{name}' is reported twice")
        block.names.add(name)
        inner = tuple(nested.pending) if nested else ()
        block.results.append(
            Result(
                name,
                match["ok"] == "ok",
                int(match["number"]),
                directive,
                reason,
                (*inner, *block.pending),
                tuple(nested.results) if nested else (),
            )
        )
        block.pending.clear()
        block.running = ""
        return True

    def _close_down_to(self, depth: int) -> _Block | None:
        """End the blocks deeper than `depth`; return the one right below it."""
        nested = None
        while len(self.stack) - 1 > depth:
            nested = self.stack[-1]
            self.problems.extend(nested.problems(self.where()))
            self.stack.pop()
            if len(self.stack) - 1 > depth:
                self.problem("the result of this block is missing")
                self._absorb(nested)
        return nested

    def _absorb(self, nested: _Block) -> None:
        """Keep what is known of a block whose own result never came."""
        self.stack[-1].results.append(
            Result(
                nested.name,
                None,
                diagnostics=tuple(nested.pending),
                results=tuple(nested.results),
                running=nested.running,
            )
        )

    def finish(self) -> Report:
        """The report, after the last line."""
        running = self.stack[1].name if len(self.stack) > 1 else self.stack[0].running
        while len(self.stack) > 1:
            self.problem("this block began and its result never came, the report is truncated")
            nested = self.stack.pop()
            self._absorb(nested)
        root = self.stack[0]
        if not root.has_version:
            self.problem("no KTAP header")
        elif not any("never came" in problem for problem in self.problems):
            self.problems.extend(root.problems("report"))
        return Report(tuple(root.results), tuple(self.problems), tuple(root.pending), running)


def _split(rest: str) -> tuple[str, str, str]:
    """Split "name # SKIP reason" into name, directive and reason."""
    name, hash_sign, tail = rest.partition(" # ")
    if not hash_sign and rest.startswith("# "):
        name, tail = "", rest[2:]
    match = _DIRECTIVE.match(tail.strip())
    if match:
        return name.strip(), match[1].upper(), match[2].strip()
    return name.strip(), "", tail.strip()


def parse(text: str) -> Report:
    """Read KTAP from `text`. Never raises: what is wrong becomes a problem of the report."""
    parser = _Parser()
    lines = text.split("\n")
    unfinished = lines.pop()
    for line in lines:
        parser.feed(line.rstrip("\r"))
    if unfinished:
        parser.problems.append("report: the last line is unfinished, the report is truncated")
    return parser.finish()
