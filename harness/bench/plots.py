"""The plots, as SVG: the same figures give the same bytes."""

from collections.abc import Callable, Sequence
from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from harness.bench import figures, plan
from harness.bench.goals import FLOOR
from harness.bench.record import Record

_COLOURS = {"krsi": "#1b6ca8", "upstream": "#c8553d", "none": "#777777"}
_OTHER = "#4b8f29"


def plots(record: Record) -> dict[str, str]:
    """Every plot that there are figures for: SVG by file name."""
    drawn = {
        "programs.svg": _draw(record, _programs),
        "idle.svg": _draw(record, _idle),
        "attach.svg": _draw(record, _attach),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _draw(record: Record, paint: Callable[[Record, Axes], bool]) -> str:
    """One plot; empty if there was nothing to paint."""
    with mpl.rc_context({"svg.hashsalt": "krsi", "svg.fonttype": "none", "font.size": 9}):
        canvas = Canvas(figsize=(8, 4), layout="constrained")
        axes = canvas.add_subplot()
        if not paint(record, axes):
            return ""
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        out = StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _programs(record: Record, axes: Axes) -> bool:
    """The cost of mprotect over the number of programs on its hook."""
    painted = False
    for kernel in record.kernels:
        states = {0: plan.LOADED, **{number: f"noop-{number}" for number in plan.PROGRAMS}}
        points = {
            number: kernel.cost(f"{figures.CALL}/{state}") for number, state in states.items()
        }
        known = {number: cost for number, cost in points.items() if cost is not None}
        if len(known) > 1:
            axes.plot(
                list(known),
                list(known.values()),
                marker="o",
                color=_COLOURS.get(kernel.variant, _OTHER),
                label=kernel.variant,
            )
            painted = True
    axes.set_xlabel("no-op programs on file_mprotect")
    axes.set_ylabel("instructions per mprotect()")
    axes.set_ylim(bottom=0)
    return painted


def _idle(record: Record, axes: Axes) -> bool:
    """What each call takes more than on the kernel without a BPF LSM, with nothing attached."""
    floor = record.kernel(FLOOR)
    others = [kernel for kernel in record.kernels if kernel is not floor]
    calls = [call for call in plan.CALLS if figures.cost(floor, f"{call}/{plan.IDLE}")]
    if not others or not calls:
        return False
    width = 0.8 / len(others)
    for place, kernel in enumerate(others):
        case = [f"{call}/{plan.IDLE}" for call in calls]
        found = [figures.above(kernel, name, floor, name) for name in case]
        heights = [0.0 if more is None else more.value for more in found]
        axes.bar(
            [index + place * width for index in range(len(calls))],
            heights,
            width,
            color=_COLOURS.get(kernel.variant, _OTHER),
            label=kernel.variant,
        )
    # fork and execve waver by more than all others cost.
    axes.set_yscale("symlog", linthresh=10)
    _name(axes, calls, width)
    axes.set_ylabel(f"instructions above {FLOOR}, nothing attached")
    return True


def _attach(record: Record, axes: Axes) -> bool:
    """How long attaching takes, by what is attached already."""
    cases = [f"{kind}/{change}" for kind in plan.LINKS for change in plan.CHANGES]
    known = []
    for kernel in record.kernels:
        times = {case: kernel.value(f"links/{case}", "ns") for case in cases}
        if any(times.values()):
            known.append((kernel.variant, times))
    if not known:
        return False
    width = 0.8 / len(known)
    for place, (variant, times) in enumerate(known):
        axes.bar(
            [index + place * width for index in range(len(cases))],
            [time or 0 for time in times.values()],
            width,
            color=_COLOURS.get(variant, _OTHER),
            label=variant,
        )
    axes.set_yscale("log")
    _name(axes, cases, width)
    axes.set_ylabel("virtual ns until it returns")
    return True


def _name(axes: Axes, names: Sequence[str], width: float) -> None:
    """Write a name below each group of bars, which together are 0.8 wide, each `width`."""
    middles = [index + 0.4 - width / 2 for index in range(len(names))]
    axes.set_xticks(middles, names, rotation=40, ha="right", rotation_mode="anchor")
