"""Find splats in the kernel's log: warnings, bugs, stalls, leaks. Pure: text in, values out.

What counts as a splat is policy and lies in policy/splat-deny.txt, what is forgiven in
policy/splat-allow.txt. The log is divided into sections by lines that the harness
("krsi: begin NAME", "krsi: end NAME") and the runner ("lsm_tests: NAME/SUBTEST") write to
/dev/kmsg, so that a splat is charged to the test during which it appeared.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from harness.errors import UsageError
from harness.verdicts import policy

BOOT = ""
"""The section before the first test."""

_FORM = "kind: regular expression"
_ALLOW_FORM = "kind until YYYY-MM-DD: regular expression"
_MAX_LINES = 200
_MAX_LINE = 4096
_STAMPED = re.compile(r"(?<=.)(?=\[ *\d+\.\d{6}\])")
_STAMP = re.compile(r"(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?)?")
_BEGIN = re.compile(r"krsi: begin (\S+)")
_END = re.compile(r"krsi: end (\S+)")
_ANNOUNCED = re.compile(r"lsm_tests: (.+)")
_CUT_HERE = re.compile(r"-+\[ cut here \]-+")
_FRAME = re.compile(
    r"(?P<rip>RIP: \w+:)?(?P<name>[A-Za-z_][\w.$]*)\+0x(?P<offset>[0-9a-f]+)"
    r"/0x(?P<size>[0-9a-f]+)"
)
_ENDS = {
    "panic": re.compile(r"---\[ end Kernel panic|Rebooting in|Kernel Offset:"),
    "kasan": re.compile(r"={20,}"),
    "leak": re.compile(r"(?!unreferenced object|\s)"),
}
_END_TRACE = re.compile(r"---\[ end trace")
_STACK_END = re.compile(r"\s*</TASK>")


@dataclass(frozen=True)
class Rule:
    """One line of a policy file: a splat of `kind` is a line in which `pattern` is found.

    Attributes:
        lapsed: "" while the line counts, afterwards a sentence that says so.
    """

    kind: str
    pattern: re.Pattern[str]
    lapsed: str = ""


@dataclass(frozen=True)
class Frame:
    """One entry of a stack trace.

    Attributes:
        function: the symbol.
        offset: from the symbol, in bytes.
        size: of the function, in bytes; tells functions of the same name apart.
        is_return: the address is the one after a call, not of the instruction itself.
    """

    function: str
    offset: int
    size: int
    is_return: bool


@dataclass(frozen=True)
class Splat:
    """One splat.

    Attributes:
        kind: what its rule calls it: warning, oops, panic, kasan, lockdep, rcu, leak, …
        title: the line that matched, without its time stamp.
        section: the test during which it appeared, BOOT for none.
        line: the number of its first line in the log, from 1.
        lines: the whole splat, without time stamps.
    """

    kind: str
    title: str
    section: str
    line: int
    lines: tuple[str, ...]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The stack trace, innermost first; uncertain entries ("? func") are left out."""
        return tuple(frame for frame in map(frame_of, self.lines) if frame)


def frame_of(line: str) -> Frame | None:
    """The stack entry that a line of a splat holds, if it is one."""
    match = _FRAME.match(line.strip())
    if match is None:
        return None
    offset, size = int(match["offset"], 16), int(match["size"], 16)
    return Frame(match["name"], offset, size, match["rip"] is None)


def parse_rules(text: str, source: str) -> tuple[Rule, ...]:
    """Read policy: "kind: regular expression" lines, "#" begins a comment line.

    Raises UsageError that names `source` and the line when one cannot be read.
    """
    return tuple(_rule(entry) for entry in policy.entries(text, source, _FORM))


def parse_allowed(text: str, source: str, today: date) -> tuple[Rule, ...]:
    """Read "kind until YYYY-MM-DD: regular expression" lines, as they count `today`.

    Raises:
        UsageError: one is malformed, says not until when, or has no reason above it.
    """
    rules = []
    for entry in policy.entries(text, source, _ALLOW_FORM):
        until = policy.expiry(entry)
        if not entry.comment:
            raise UsageError(f"{entry.where}: say in a comment right above why it is harmless")
        lapsed = f"{entry.where} has expired on {until}: {entry.comment}" if until < today else ""
        rules.append(replace(_rule(entry), lapsed=lapsed))
    return tuple(rules)


def _rule(entry: policy.Entry) -> Rule:
    if len(entry.words) != 1:
        raise UsageError(f"{entry.where}: expected '{_FORM}'")
    try:
        return Rule(entry.words[0], re.compile(entry.text))
    except re.error as error:
        raise UsageError(f"{entry.where}: bad regular expression: {error}") from error


@dataclass(frozen=True)
class Policy:
    """What is a splat and which splats are forgiven."""

    deny: tuple[Rule, ...]
    allow: tuple[Rule, ...]


def load_policy(folder: Path, today: date | None = None) -> Policy:
    """Read splat-deny.txt and splat-allow.txt, as they count `today`.

    Raises UsageError when one cannot be read: a scan without them would pass everything.
    """
    deny = parse_rules(*_read(folder / "splat-deny.txt"))
    allow = parse_allowed(*_read(folder / "splat-allow.txt"), today or policy.today())
    if not deny:
        raise UsageError(
            f"{folder / 'splat-deny.txt'} holds no rule: nothing would count as a splat"
        )
    return Policy(deny, allow)


def _read(path: Path) -> tuple[str, str]:
    """The text of a policy file, and its name."""
    try:
        return path.read_text("utf-8", "replace"), str(path)
    except OSError as error:
        raise UsageError(f"cannot read the splat policy {path}: {error.strerror}") from error


def strip_stamp(line: str) -> str:
    """The line as the kernel printed it, without "[   12.345678][ T42] "."""
    return line[_STAMP.match(line).end() :].rstrip()  # type: ignore[union-attr]


def split_lines(log: str) -> Iterator[tuple[int, str]]:
    """The lines of a log with their numbers, as the kernel printed them.

    What a program writes to the console stands in one line with what the kernel prints next,
    unless it ends with a line feed: a time stamp begins a line wherever it is. And it need not end
    at all, whereas the kernel's own lines are short and patterns are not made for others.
    """
    for number, line in enumerate(log.splitlines(), 1):
        parts = _STAMPED.split(line) if "[" in line else (line,)
        for part in parts:
            for start in range(0, len(part) or 1, _MAX_LINE):
                yield number, strip_stamp(part[start : start + _MAX_LINE])


def marker_of(line: str) -> str | None:
    """The test that a marker line names, if it is one; what follows is charged to that test."""
    match = _BEGIN.match(line) or _END.match(line) or _ANNOUNCED.match(line)
    return match[1].strip() if match else None


def markers(log: str) -> tuple[str, ...]:
    """The tests that the marker lines name, in order; the end of a test names it once more."""
    named = (marker_of(line) for _, line in split_lines(log))
    return tuple(name for name in named if name is not None)


def began(log: str, test: str) -> bool:
    """Whether the log holds the line that says that `test` has begun."""
    return any(line == f"krsi: begin {test}" for _, line in split_lines(log))


def ended(log: str, test: str) -> bool:
    """Whether the log holds the line that says that `test` has ended."""
    return any(line == f"krsi: end {test}" for _, line in split_lines(log))


def _sections(lines: Sequence[str], first: str) -> list[str]:
    """For each line the test during which it was printed."""
    result = []
    current = first
    for line in lines:
        current = marker_of(line) or current
        result.append(current)
    return result


def scan(log: str, rules: Policy, section: str = BOOT) -> tuple[Splat, ...]:
    """Every splat in `log` that the rules do not allow, in order of appearance.

    `section` is the test that the lines before the first marker are charged to.
    """
    numbered = tuple(split_lines(log))
    lines = [line for _, line in numbered]
    where = _sections(lines, section)
    found = []
    index = 0
    while index < len(lines):
        rule = _first(rules.deny, lines[index])
        if rule is None:
            index += 1
            continue
        start = index - 1 if index and _CUT_HERE.match(lines[index - 1]) else index
        stop = _end_of(lines, index, rule, rules.deny)
        splat = Splat(
            rule.kind, lines[index], where[index], numbered[start][0], tuple(lines[start:stop])
        )
        rule_for_it = _forgiving(splat, rules.allow)
        if rule_for_it is None:
            found.append(splat)
        elif rule_for_it.lapsed:
            found.append(replace(splat, lines=(*splat.lines, rule_for_it.lapsed)))
        index = max(stop, index + 1)
    return tuple(found)


def _first(rules: Iterable[Rule], line: str) -> Rule | None:
    return next((rule for rule in rules if rule.pattern.search(line)), None)


def _forgiving(splat: Splat, allow: Iterable[Rule]) -> Rule | None:
    """The rule that forgives a splat of its kind ("any": of every kind); one that counts first."""
    forgive = [
        rule
        for rule in allow
        if rule.kind in ("any", splat.kind)
        and any(rule.pattern.search(line) for line in splat.lines)
    ]
    return min(forgive, key=lambda rule: bool(rule.lapsed), default=None)


def _end_of(lines: Sequence[str], start: int, rule: Rule, deny: Iterable[Rule]) -> int:
    """The index after the last line of the splat that begins at `start`.

    A splat ends with the line that closes its kind. Where there is none within reach it ends
    with its stack trace, and where there is no trace either it is one line long.
    """
    closing = _ENDS.get(rule.kind, _END_TRACE)
    after_stack = 0
    in_trace = False
    for index in range(start + 1, min(len(lines), start + _MAX_LINES)):
        line = lines[index]
        if closing.match(line):
            return index if rule.kind == "leak" else index + 1
        if marker_of(line) or _CUT_HERE.match(line) or (after_stack and _first(deny, line)):
            return after_stack or (index if in_trace else start + 1)
        in_trace = in_trace or line.startswith("Call Trace:")
        if not after_stack and _STACK_END.match(line):
            after_stack = index + 1
    return after_stack or (min(len(lines), start + _MAX_LINES) if in_trace else start + 1)
