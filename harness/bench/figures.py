"""From what was measured to what is told: differences, sums, and which of them are exact. Pure."""

from dataclasses import dataclass

from harness.bench import plan
from harness.bench.record import Measured

#: The call whose hook the goals speak of.
CALL = "mprotect"


@dataclass(frozen=True)
class Figure:
    """A number of instructions, or of what `unit` says.

    Attributes:
        value: the number.
        steady: most batches agreed on it, and so will another state of the same kernel.
        spread: how much more half of the batches took, where they did not agree.
    """

    value: float
    steady: bool = True
    spread: float = 0.0

    def __str__(self) -> str:
        """A number for people; one that is not steady is marked."""
        return ("" if self.steady else "~") + number(self.value)

    def minus(self, other: "Figure") -> "Figure":
        """How much more this is."""
        spread = max(self.spread, other.spread)
        return Figure(self.value - other.value, self.steady and other.steady, spread)


def number(value: float) -> str:
    """A number with its thousands apart, and decimals only if it has some."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def signed(figure: Figure | None) -> str:
    """A difference, with its sign."""
    if figure is None:
        return "–"
    mark = "" if figure.steady else "~"
    return f"{mark}{'−' if figure.value < 0 else '+'}{number(abs(figure.value))}"


def cost(kernel: Measured | None, case: str) -> Figure | None:
    """Instructions per call of a case."""
    if kernel is None or case not in kernel.cases:
        return None
    found = kernel.cases[case]
    if found.cost is None:
        return None
    call = plan.CALLS.get(case.partition("/")[0])
    steady = found.spread == 0 and not (call and call.unsteady)
    return Figure(found.cost, steady, found.spread)


def above(kernel: Measured | None, case: str, base: Measured | None, under: str) -> Figure | None:
    """How many instructions a case of one kernel takes more than a case of another."""
    high, low = cost(kernel, case), cost(base, under)
    return None if high is None or low is None else high.minus(low)


def added(kernel: Measured | None, call: str, state: str) -> Figure | None:
    """What a state adds to a call of which all programs are loaded, and none is attached.

    A program of a control group is compared with a caller in the same group.
    """
    kind, _, depth = state.partition("-")
    base = f"inside-{depth}" if kind == "cgroup" else plan.LOADED
    return above(kernel, f"{call}/{state}", kernel, f"{call}/{base}")


def further(kernel: Measured | None, call: str = CALL) -> Figure | None:
    """What each no-op program after the first adds: the most it does at any number of them."""
    steps = []
    for few, many in zip(plan.PROGRAMS, plan.PROGRAMS[1:], strict=False):
        step = above(kernel, f"{call}/noop-{many}", kernel, f"{call}/noop-{few}")
        if step is not None:
            steps.append(Figure(step.value / (many - few), step.steady, step.spread))
    return max(steps, key=lambda step: step.value, default=None)


def crossed(kernel: Measured | None, call: str) -> int | None:
    """How many hooks a call crosses: each that takes programs, as often as it is called."""
    case = None if kernel is None else kernel.cases.get(f"crossed/{call}")
    if case is None or case.unavailable:
        return None
    return sum(case.values.values())


def waited(kernel: Measured | None, case: str) -> int | None:
    """How long a caller of attach, update or detach waits without executing anything, in ns."""
    if kernel is None:
        return None
    ns, executed = kernel.value(case, "ns"), kernel.value(case, "executed_median")
    return None if ns is None or executed is None else max(0, ns - executed)
