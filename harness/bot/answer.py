"""What is known of a series so far: a check is missing until it was made. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.bot.limits import Limited
from harness.bot.threads import Series
from harness.model import Status

#: Of the series as a whole, before and after those of its patches.
FIRST, LAST = ("complete",), ("tools", "boot", "tests")
#: Of each patch.
EACH = ("paths", "sign-off", "checkpatch", "applies", "builds", "warnings")
#: What fails here is no kernel.
_BUILDING = ("applies", "builds", "tools")
_FINE = (Status.PASS, Status.SKIP)
WHAT = {
    "complete": "every patch of the series is there, once",
    "paths": "nothing but files of the kernel's tree is touched",
    "sign-off": "the author has signed it off",
    "checkpatch": "checkpatch.pl --strict of the base has nothing to say",
    "applies": "git am takes it, without fuzz",
    "builds": "the kernel is configured as asked and links, without a warning",
    "warnings": "the files it touches say no more with W=1 than before",
    "tools": "libbpf, bpftool and the selftests compile",
    "boot": "the kernel boots, and does not complain",
    "tests": "the selftests pass",
}


@dataclass
class Check:
    """One thing that is looked at.

    Attributes:
        name: what, one of `WHAT`.
        patch: the number of the patch, 0 for the whole series.
        status: what came of it.
        details: what is wrong, or why it was skipped, a line each.
        limited: the limits that were met.
        seconds: how long it took.
        log: the name of its log, if it has one.
    """

    name: str
    patch: int = 0
    status: Status = Status.MISS
    details: tuple[str, ...] = ()
    limited: tuple[Limited, ...] = ()
    seconds: float = 0.0
    log: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing speaks against the series."""
        return self.status in _FINE


@dataclass
class Answer:
    """What is said to a series.

    Attributes:
        series: the series.
        on: what it was laid on, base or krsi.
        base: the version and commit of that.
        checks: all of them, in order.
        bounds: what its code may take, a line each.
        error: why we could not do our work; that is nothing against the series.
        seconds: how long all took.
    """

    series: Series
    on: str
    base: str = ""
    checks: list[Check] = field(default_factory=list)
    bounds: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0

    @classmethod
    def to(cls, series: Series, on: str) -> "Answer":
        """The answer when nothing is known yet."""
        numbers = [(mail.tag.number if mail.tag else 0) for mail in series.patches]
        return cls(
            series,
            on,
            checks=[
                *(Check(name) for name in FIRST),
                *(Check(name, number) for number in numbers for name in EACH),
                *(Check(name) for name in LAST),
            ],
        )

    def check(self, name: str, patch: int = 0) -> Check:
        """The check of this name."""
        return next(each for each in self.checks if (each.name, each.patch) == (name, patch))

    def fine(self, *names: str) -> bool:
        """Whether all checks of these names were made and went well."""
        return all(each.fine for each in self.checks if each.name in names)

    @property
    def bad(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(each for each in self.checks if each.status is Status.FAIL)

    @property
    def missing(self) -> tuple[Check, ...]:
        """The checks that were not made."""
        return tuple(each for each in self.checks if each.status is Status.MISS)

    @property
    def limited(self) -> Iterator[tuple[Check, Limited]]:
        """Every limit that was met, and during which check."""
        return ((each, found) for each in self.checks for found in each.limited)

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 a check failed or is missing, 3 there is no kernel, 4 our fault."""
        if self.error:
            return 4
        if any(each.name in _BUILDING for each in self.bad):
            return 3
        return 1 if self.bad or self.missing else 0


def worst(codes: Iterable[int]) -> int:
    """One exit status for several answers: our own fault first, then what ended earliest."""
    found = set(codes)
    return next((code for code in (4, 3, 1) if code in found), 0)


def name_of(series: Series, patch: int) -> str:
    """What a patch is called: 3/7."""
    return f"{patch}/{max(series.total, len(series.patches))}" if patch else "series"


def settle(check: Check, faults: Sequence[str]) -> None:
    """Let a check have been made: it fails if there is a fault."""
    check.details = (*check.details, *faults)
    check.status = Status.FAIL if faults else Status.PASS
