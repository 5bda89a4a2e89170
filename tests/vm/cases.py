"""What a guest may do to the harness, and what has to become of it: the table beside cases.sh."""

from dataclasses import dataclass
from pathlib import Path

from harness.model import Status
from harness.run.selftests import Selftest

HERE = Path(__file__).resolve().parent
WHOLE = ""
PASS, FAIL, SKIP, MISS = Status.PASS, Status.FAIL, Status.SKIP, Status.MISS
CRASH, HANG, SPLAT, FLOOD = Status.CRASH, Status.HANG, Status.SPLAT, Status.FLOOD


@dataclass(frozen=True)
class Case:
    """One test of cases.sh.

    Attributes:
        expected: the verdict on each of its subtests, and on the whole; where chance decides, those
            that are right.
        message: is found in the verdict on the whole.
        options: of the kernel that it needs.
    """

    expected: dict[str, Status | tuple[Status, ...]]
    message: str = ""
    options: tuple[str, ...] = ()


CASES = {
    "plain": Case({"ok": PASS, "fails": FAIL, "skips": SKIP, WHOLE: FAIL}, "failed: fails"),
    "console": Case({"garbage": SPLAT, "after": PASS, WHOLE: SPLAT}, "broken_warn"),
    "report": Case({"garbage": MISS, "after": PASS, WHOLE: FAIL}, "'garbage' was not reported"),
    "truncated": Case(
        # A result that was seen before it was destroyed stands; none is asked for again.
        {"cut": (PASS, MISS), "after": (PASS, MISS), "lost": MISS, WHOLE: MISS},
        "status 137",
    ),
    "big": Case({"output": PASS, "report": PASS, WHOLE: FAIL}, "too many to be read"),
    "replaced": Case({"link": MISS, "after": PASS, WHOLE: MISS}, "status 137"),
    "runner": Case({"killed": MISS, "after": PASS, WHOLE: MISS}, "status 137"),
    "panic": Case({"before": PASS, "now": CRASH, "after": PASS, WHOLE: CRASH}, "in now: Kernel"),
    "hang": Case({"forever": HANG, "after": PASS, WHOLE: HANG}, "in forever: test deadline"),
    "hardhang": Case({"now": HANG, "after": PASS, WHOLE: HANG}, "in now: test deadline"),
    "flood": Case({"console": FLOOD, "after": PASS, WHOLE: FLOOD}, "in console: the kernel's log"),
    "memory": Case(
        {"killed": SPLAT, "panics": CRASH, "after": PASS, WHOLE: CRASH}, "in panics: Kernel panic"
    ),
    "reboot": Case({"now": CRASH, "after": PASS, WHOLE: CRASH}, "sysrq: Resetting"),
    "late": Case({"passes": PASS, WHOLE: PASS}),
    # What the test before left behind is charged to whoever runs when it strikes, or to nobody.
    "innocent": Case({"ok": (PASS, MISS, CRASH), WHOLE: (PASS, CRASH)}),
    "noroot": Case({"never": MISS, WHOLE: MISS}, "did not boot", ("rootfstype=none",)),
    "rootwait": Case({"never": MISS, WHOLE: MISS}, "did not boot", ("root=/dev/none", "rootwait")),
    "bystander": Case({"ok": PASS, WHOLE: PASS}),
}
HANGING = ("hang", "hardhang")
UNBOOTABLE = tuple(name for name, case in CASES.items() if case.options)

TESTS = tuple(
    Selftest(name, tuple(filter(None, case.expected)), HERE / "cases.sh", case.options)
    for name, case in CASES.items()
)
