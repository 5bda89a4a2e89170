"""What is shown, as tables: for the terminal, docs/BENCH.md and report.html alike. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.bench import figures, plan
from harness.bench.compare import Change
from harness.bench.figures import added, cost, crossed, number, signed
from harness.bench.goals import FLOOR, PRODUCT, goals
from harness.bench.record import Measured, Record

_NONE = "–"
_KINDS = ("noop-1", "sleepable", "cookie", "stats-1", "cgroup-1", "cgroup-8")


@dataclass(frozen=True)
class Table:
    """A table of words.

    Attributes:
        title: above it.
        head: a word for each column; the first one is aligned left, the others right.
        rows: as many words each.
        notes: sentences below it.
        prose: all columns are aligned left.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    prose: bool = False

    def text(self) -> str:
        """For a terminal."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = [self.title]
        for row in (self.head, *self.rows):
            words = [
                word.ljust(width) if place == 0 else word.rjust(width)
                for place, (word, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  " + "  ".join(words).rstrip())
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def markdown(self) -> str:
        """For a document."""
        rule = ["---", *["---" if self.prose else "--:"] * (len(self.head) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in (self.head, rule, *self.rows)]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"## {self.title}\n", *lines, *notes])


def all_tables(record: Record) -> tuple[Table, ...]:
    """Every table of numbers that has a row."""
    tables = (
        goal_table(record),
        idle_table(record),
        programs_table(record),
        kinds_table(record),
        deny_table(record),
        links_table(record),
        trampolines_table(record),
        size_table(record),
        nanoseconds_table(record),
    )
    return tuple(table for table in tables if table.rows)


def goal_table(record: Record) -> Table:
    """The goals that something was measured for."""
    rows = [
        (goal.what, *goal.numbers, goal.unit, goal.verdict)
        for goal in goals(record)
        if goal.measured is not None
    ]
    return Table("Goals", ("what", "goal", "measured", "unit", "verdict"), tuple(rows))


def idle_table(record: Record) -> Table:
    """Each call with nothing attached, and how many hooks it crosses."""
    floor, product = record.kernel(FLOOR), record.kernel(PRODUCT)
    others = [kernel for kernel in record.kernels if kernel is not floor]
    head = ["call", "hooks", *([FLOOR] if floor else [])]
    for kernel in others:
        head += [kernel.variant, *([f"above {FLOOR}"] if floor else [])]
    rows = []
    for call in plan.CALLS:
        case = f"{call}/{plan.IDLE}"
        if not any(cost(kernel, case) for kernel in record.kernels):
            continue
        hooks = crossed(product or next(iter(others), None), call)
        row = [call, _NONE if hooks is None else str(hooks)]
        row += [_word(cost(floor, case))] if floor else []
        for kernel in others:
            row.append(_word(cost(kernel, case)))
            row += [signed(figures.above(kernel, case, floor, case))] if floor else []
        rows.append(tuple(row))
    return Table(
        "Nothing attached: instructions per call",
        tuple(head),
        tuple(rows),
        (
            "hooks: how many calls of hooks a program can be on were counted during one call.",
            (
                "socket+close makes an inode: zeroing the eight bytes that inode storage has in "
                "its security blob takes four instructions besides those of hooks, here as on "
                "upstream. `make listing` shows it."
            ),
        ),
    )


def hooks_table(record: Record) -> Table:
    """The hooks that each call crosses, by name, and those that could not be counted.

    Too wide for a terminal.
    """
    kernel = record.kernel(PRODUCT) or next(iter(_with_programs(record)), None)
    rows = []
    for call in plan.CALLS:
        case = kernel.cases.get(f"crossed/{call}") if kernel else None
        if case is not None and case.values:
            ordered = sorted(case.values.items(), key=lambda each: (-each[1], each[0]))
            rows.append((call, ", ".join(_times(name, count) for name, count in ordered)))
    refused = kernel.cases.get("crossed/refused") if kernel else None
    notes = (f"Take no program: {', '.join(sorted(refused.values))}.",) if refused else ()
    return Table("Hooks that a call crosses", ("call", "hooks"), tuple(rows), notes, prose=True)


def _times(name: str, count: int) -> str:
    return f"{count} × {name}" if count > 1 else name


def programs_table(record: Record) -> Table:
    """What a number of no-op programs adds, by call and kernel."""
    rows = []
    for call in plan.CALLS:
        for kernel in _with_programs(record):
            found = [added(kernel, call, f"noop-{count}") for count in plan.PROGRAMS]
            if any(found):
                base = _word(cost(kernel, f"{call}/{plan.LOADED}"))
                rows.append((f"{call}, {kernel.variant}", base, *map(signed, found)))
    head = ("call", "none", *map(str, plan.PROGRAMS))
    return Table("No-op programs on its hook: instructions added", head, tuple(rows))


def kinds_table(record: Record) -> Table:
    """What one program of each kind adds."""
    rows = []
    for call in plan.CALLS:
        for kernel in _with_programs(record):
            found = [added(kernel, call, state) for state in _KINDS]
            if any(found):
                rows.append((f"{call}, {kernel.variant}", *map(signed, found)))
    return Table(
        "One program of each kind: instructions added",
        ("call", "plain", "sleepable", "cookie", "statistics", "cgroup, 1 deep", "8 deep"),
        tuple(rows),
        (
            "cgroup: the program is on the topmost group, the caller in one so deep.",
            f"{_NONE}: the hook takes no such program.",
        ),
    )


def deny_table(record: Record) -> Table:
    """What a call takes that a program denies."""
    kernels = _with_programs(record)
    rows = []
    for call in plan.CALLS:
        found = [cost(kernel, f"{call}/deny") for kernel in kernels]
        if any(found):
            rows.append((call, *map(_word, found)))
    head = ("call", *(kernel.variant for kernel in kernels))
    return Table("Denied by one program: instructions per call", head, tuple(rows))


def links_table(record: Record) -> Table:
    """Attaching, updating, detaching: how long it takes, and what of it is waiting."""
    rows = []
    for kind in plan.LINKS:
        for change in plan.CHANGES:
            for kernel in _with_programs(record):
                case = f"links/{kind}/{change}"
                if case in kernel.cases:
                    rows.append(_link_row(kernel, kind, change, case))
    return Table(
        "Attach, update, detach: until they return",
        ("program and change", "virtual ns", "least", "most", "executed", "waited"),
        tuple(rows),
        (
            "The median of nine. A virtual nanosecond is an instruction, or as long while idle.",
            "executed: by the caller, interrupts included; waited: the rest.",
        ),
    )


def _link_row(kernel: Measured, kind: str, change: str, case: str) -> tuple[str, ...]:
    title = f"{kind} {change}, {kernel.variant}"
    if kernel.cases[case].unavailable:
        return (title, "not possible", *[_NONE] * 4)
    names = ("ns", "ns_min", "ns_max", "executed_median")
    found = [kernel.value(case, name) for name in names]
    return (
        title,
        *(_NONE if n is None else number(n) for n in (*found, figures.waited(kernel, case))),
    )


def trampolines_table(record: Record) -> Table:
    """What other users of the trampoline pay."""
    rows = []
    for kind in plan.TRAMPOLINES:
        base = "setsockopt" if kind == "struct_ops" else "bare"
        row = [kind]
        for kernel in record.kernels:
            found = cost(kernel, f"trampolines/{kind}")
            more = figures.above(kernel, f"trampolines/{kind}", kernel, f"trampolines/{base}")
            row += [_word(found), "" if kind in ("bare", "setsockopt") else signed(more)]
        if any(word not in ("", _NONE) for word in row[1:]):
            rows.append(tuple(row))
    head = ["", *(word for kernel in record.kernels for word in (kernel.variant, "added"))]
    return Table(
        "Other users of the BPF trampoline: instructions per call",
        tuple(head),
        tuple(rows),
        (
            "fentry, fexit, fmod_ret: mprotect(), one program on security_file_mprotect().",
            "setsockopt: to another TCP congestion control and back, both the kernel's own.",
            "struct_ops: the same, one of them made of programs, of which two run.",
        ),
    )


def size_table(record: Record) -> Table:
    """Sizes, memory and boot."""
    kernels = record.kernels
    rows = [
        (f"{name}, bytes", *(_amount(kernel.size.get(name)) for kernel in kernels))
        for name in ("text", "read-only data", "data", "bss")
    ]
    for kind in plan.MEMORY:
        for what in ("slab", "jit", "percpu", "vmalloc"):
            per = [_per_program(kernel, kind, what) for kernel in kernels]
            if any(value is not None for value in per):
                rows.append((f"{what} memory per program {kind}, bytes", *map(_amount, per)))
    boots = [kernel.value("boot", "until_init") for kernel in kernels]
    if any(boots):
        rows.append(("boot until init, virtual ns", *map(_amount, boots)))
    head = ("", *(kernel.variant for kernel in kernels))
    notes = (
        "Memory: by how much it grows with 38 programs on each of eight hooks, per program.",
        "boot: from power-on, firmware and waiting for devices included.",
    )
    return Table("Size", head, tuple(rows) if kernels else (), notes)


def nanoseconds_table(record: Record) -> Table:
    """Nanoseconds, where KVM runs."""
    rows = []
    for kernel in record.kernels:
        for case, rounds in kernel.nanoseconds.items():
            values = sorted(rounds)
            middle = values[len(values) // 2]
            words = (middle, values[0], values[-1])
            rows.append((f"{case}, {kernel.variant}", *(f"{value:.1f}" for value in words)))
    head = ("case", "median", "least", "most")
    return Table("With KVM: nanoseconds per call, over the rounds", head, tuple(rows))


def change_table(found: Sequence[Change]) -> Table:
    """What is not as it was."""
    rows = [
        (
            f"{change.variant}: {change.case}",
            number(change.old),
            number(change.new),
            signed(figures.Figure(change.new - change.old)),
            "worse" if change.worse else "",
        )
        for change in found
    ]
    return Table(
        "Compared with the baseline", ("case", "old", "new", "difference", ""), tuple(rows)
    )


def unsteady_notes(record: Record) -> tuple[str, ...]:
    """Why figures with a ~ are not exact."""
    shown = {case.partition("/")[0] for kernel in record.kernels for case in kernel.cases}
    notes = [
        f"~ {name}: {call.unsteady}."
        for name, call in plan.CALLS.items()
        if call.unsteady and name in shown
    ]
    spreads = []
    for kernel in record.kernels:
        for case, found in kernel.cases.items():
            call = plan.CALLS.get(case.partition("/")[0])
            if found.spread and call and not call.unsteady:
                spreads.append(f"{kernel.variant} {case} (+{number(found.spread)})")
    if spreads:
        notes.append(f"~ half of the batches took more than the least one: {', '.join(spreads)}.")
    return tuple(notes)


def _with_programs(record: Record) -> tuple[Measured, ...]:
    """The kernels that take programs."""
    return tuple(kernel for kernel in record.kernels if kernel.variant != FLOOR)


def _per_program(kernel: Measured, kind: str, what: str) -> float | None:
    total, programs = (kernel.value(f"memory/{kind}", name) for name in (what, "programs"))
    return None if total is None or not programs else round(total / programs)


def _amount(value: float | None) -> str:
    return _NONE if value is None else number(value)


def _word(figure: figures.Figure | None) -> str:
    return _NONE if figure is None else str(figure)
