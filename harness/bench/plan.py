"""What is measured: the boots, what each is told, and the cases that it must report. Pure.

A case is named CALL/STATE (mprotect/noop-8), or by the question that it answers (links/1/attach).
bench/*.c know how to measure; which calls and states there are stands here alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.errors import UsageError

#: How many no-op programs are put on a hook; as many as a hook takes at the end.
PROGRAMS = (1, 2, 4, 8, 16, 38)
#: How deep the control groups lie.
DEPTHS = (1, 8)
#: The case of a call before any program was loaded, and after, with none attached.
IDLE, LOADED = "idle", "loaded"
STATES = (
    IDLE,
    LOADED,
    *(f"noop-{number}" for number in PROGRAMS),
    "sleepable",
    "deny",
    "cookie",
    *(f"stats-{number}" for number in (1, 38)),
    *(f"{kind}-{depth}" for depth in DEPTHS for kind in ("inside", "cgroup")),
)
LINKS = ("1", "38", "1-populated", "38-populated")
CHANGES = ("attach", "update", "detach")
TRAMPOLINES = ("bare", "fentry", "fexit", "fmod_ret", "setsockopt", "struct_ops")
MEMORY = ("loaded", "attached")


@dataclass(frozen=True)
class Call:
    """A system call, or a few that belong together.

    Attributes:
        name: as bench/calls.c knows it.
        what: what is called, for people.
        hook: the hook that programs are put on; None for the control.
        unsteady: why two states of one kernel cannot be compared to the instruction, or "".
    """

    name: str
    what: str
    hook: str | None
    unsteady: str = ""


_PAGES = (
    "it comes in kinds some 600 instructions apart; thousands of pages and objects come and go, so "
    "presumably it is the allocators, whose lists depend on what RCU gave back before"
)
CALLS = {
    call.name: call
    for call in (
        Call("getppid", "getppid(), the control", None),
        Call("mprotect", "mprotect() that changes nothing", "file_mprotect"),
        Call("open+close", "open() and close() on tmpfs", "file_open"),
        Call("stat", "stat() on tmpfs", "inode_getattr"),
        Call("pread", "pread() of 1 byte on tmpfs", "file_permission"),
        Call("pwrite", "pwrite() of 1 byte on tmpfs", "file_permission"),
        Call("pipe", "write() and read() of 1 byte", "file_permission"),
        Call("unix", "send() and recv() of 1 byte, local stream", "socket_sendmsg"),
        Call(
            "tcp",
            "send() and recv() of 1 byte, TCP on the loopback device",
            "socket_sendmsg",
            "a batch takes up to 56 instructions more than another; why has not been found out",
        ),
        Call("eventfd", "write() and read() of 8 bytes", "file_permission"),
        Call(
            "socket+close",
            "socket() and close(), local stream",
            "socket_create",
            "some batches take 234 instructions a call more: presumably what RCU gives back, late",
        ),
        Call("fork+exit+wait", "fork(), the child's exit(), wait4()", "task_alloc", _PAGES),
        Call(
            "execve",
            "vfork(), the child's execve() of a program that exits, wait4()",
            "bprm_check_security",
            _PAGES,
        ),
        Call("kill", "kill() of itself with signal 0", "task_kill"),
        Call("bpf", "bpf(BPF_MAP_LOOKUP_ELEM)", "bpf"),
    )
}


@dataclass(frozen=True)
class Boot:
    """One boot of a machine.

    Attributes:
        name: for people and for file names.
        words: what init is told.
        cases: the names of the cases that it must report.
    """

    name: str
    words: tuple[str, ...]
    cases: tuple[str, ...]


def _questions() -> Iterable[tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]]:
    """Each boot's name, its first words, and for each further word the cases that it makes."""
    yield "boot", ("boot",), {"": ("boot",)}
    for name, call in CALLS.items():
        states = STATES if call.hook else (IDLE,)
        yield name, ("call", name), {state: (f"{name}/{state}",) for state in states}
    yield "crossed", ("crossed",), {call: (f"crossed/{call}",) for call in CALLS}
    links = {kind: tuple(f"links/{kind}/{change}" for change in CHANGES) for kind in LINKS}
    yield "links", ("links",), links
    kinds: dict[str, tuple[str, ...]] = {kind: (f"trampolines/{kind}",) for kind in TRAMPOLINES}
    yield "trampolines", ("trampolines",), kinds
    yield "memory", ("memory",), {"": tuple(f"memory/{kind}" for kind in MEMORY)}


def boots(patterns: Sequence[str] = ()) -> tuple[Boot, ...]:
    """The boots that it takes to measure the cases that match.

    Args:
        patterns: shell patterns; a case matches by its whole name or by what stands before a
            slash. All cases when empty. `loaded` is measured with any state that is compared
            with it.

    Raises:
        UsageError: a pattern matches no case.
    """
    found = []
    unused = set(patterns)

    def matches(case: str) -> bool:
        hits = {p for p in patterns if fnmatchcase(case, p) or fnmatchcase(case, f"{p}/*")}
        unused.difference_update(hits)
        return not patterns or bool(hits)

    for name, first, words in _questions():
        hits = {word: [case for case in cases if matches(case)] for word, cases in words.items()}
        chosen = [word for word, cases in hits.items() if cases]
        if first[0] == "call" and any(word not in (IDLE, LOADED) for word in chosen):
            chosen = [word for word in words if word in (*chosen, LOADED)]
        if chosen:
            cases = tuple(case for word in chosen for case in words[word])
            found.append(Boot(name, (*first, *filter(None, chosen)), cases))
    if unused:
        raise UsageError(f"no case matches {min(unused)!r}; `bench --list` shows them all.")
    return tuple(found)
