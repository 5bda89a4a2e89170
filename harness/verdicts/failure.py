"""What a person has to know about a failure, and which failures are the same. Pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.model import Status
from harness.verdicts import splat
from harness.verdicts.splat import Splat
from harness.verdicts.verdict import Verdict

_FRAMES = 4
_BEFORE = 15
_NOISE = re.compile(
    r"(dump_stack|show_stack|show_regs|print_\w+|panic|vpanic|check_panic_on_warn|nmi_panic"
    r"|warn_slowpath|__warn|report_bug|handle_bug|exc_|asm_exc|asm_sysvec|sysvec_|oops_|die|__die"
    r"|no_context|page_fault_oops|bad_area|kasan_|__kasan|__asan|__might_|lockdep_|check_noncircular"
    r"|ret_from_fork|entry_SYSCALL|do_syscall)"
)
"""Functions that report or that every trace has: they do not tell one splat from another."""

_TAG = re.compile(r"(?<=^bpf_prog_)[0-9a-f]{16}_?|(?<=^bpf_trampoline_)\d+")
_NUMBER = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")


def signature(found: Splat) -> str:
    """What a splat and its likes have in common: kind and innermost functions, no addresses.

    Without a trace it is the title without its numbers.
    """
    functions = (_TAG.sub("", frame.function).partition(".")[0] for frame in found.frames)
    telling = list(dict.fromkeys(name for name in functions if not _NOISE.match(name)))
    if not telling:
        return f"{found.kind}: {_NUMBER.sub('N', found.title)}"
    return f"{found.kind} in {' < '.join(telling[:_FRAMES])}"


def fingerprint(said: str) -> str:
    """A signature as a short word, to be compared and searched for."""
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:12]


def of_verdict(reached: Verdict) -> str:
    """The signature of the crash or splat behind a verdict, or "" if there is none.

    A test as a whole that points to its subtest has none of its own.
    """
    if reached.splats:
        return signature(reached.splats[0])
    if reached.status is Status.CRASH and not reached.message.startswith("in "):
        return f"crash: {_NUMBER.sub('N', reached.message)}"
    return ""


def excerpt(log: str, name: str, splats: Sequence[Splat]) -> tuple[str, ...]:
    """What the kernel said during the item `name`: the last lines, up to its first splat."""
    first = min((found.line for found in splats if found.section == name), default=None)
    lines: list[str] = []
    inside = False
    for number, line in splat.split_lines(log):
        if first is not None and number >= first:
            break
        marker = splat.marker_of(line)
        if marker is not None:
            inside = marker == name
        elif inside and line:
            lines.append(line)
    return tuple(lines[-_BEFORE:])


def explain(reached: Verdict) -> str:
    """A verdict in full: what was asserted, what test and kernel said, and how to go on."""
    lines = [reached.message, *(f"  {line}" for line in reached.details)]
    if reached.console:
        lines += ["", "the kernel's log before:" if reached.splats else "the kernel's log:"]
        lines += [f"  {line}" for line in reached.console]
    for found in reached.splats:
        lines += ["", *describe(found)]
    said = of_verdict(reached)
    facts = {
        "fingerprint": f"{reached.fingerprint} ({said})" if reached.fingerprint else "",
        "logs": ", ".join(reached.logs),
        "again": reached.again,
    }
    known = [f"{what + ':':<12} {fact}" for what, fact in facts.items() if fact]
    return "\n".join([*lines, *([""] if known else []), *known])


def describe(found: Splat) -> Iterator[str]:
    """A splat, line by line."""
    yield f"[{found.kind}] {found.title}"
    yield from (f"  {line}" for line in found.lines)


def repeated(found: Iterable[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    """Who shares a crash with others: names by signature, of those that came more than once.

    Args:
        found: the names of items and the signatures of their crashes; "" is none.
    """
    names: dict[str, list[str]] = {}
    for name, said in found:
        if said:
            names.setdefault(said, []).append(name)
    return {said: each for said, each in names.items() if len(each) > 1}
