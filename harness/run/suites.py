"""Whose tests are run: those of the series, or those that the kernel had before it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from harness.errors import BuildError
from harness.model import ROOT, BuildPaths
from harness.progress import say
from harness.run import clients, parity, selftests, upstream, upstream_client
from harness.run.selftests import Selftest
from harness.run.session import Judge, Program
from harness.verdicts import policy
from harness.verdicts.verdict import parse_known

GUEST = ROOT / "harness/runner/guest.sh"


class Suite(Protocol):
    """Tests, what runs them, and who judges them.

    Attributes:
        name: what the user types after --suite.
        tests: which tests there are.
    """

    name: str
    tests: tuple[Selftest, ...]

    def order(self, variants: Sequence[str]) -> tuple[str, ...]:
        """The kernels in the order in which they are to be tested."""

    def programs(self, variants: Sequence[str]) -> dict[str, Program]:
        """What runs the tests on each kernel, built by now.

        Raises:
            BuildError: a kernel is not built.
        """

    def judge(self, variant: str) -> Judge | None:
        """Who decides on a verdict in the end; None leaves it to the list of known failures."""

    def outcomes(self) -> dict[str, parity.Column]:
        """What became of tests and subtests on each kernel, where subtests are no items."""

    def learn(self, outcomes: Mapping[str, parity.Column]) -> None:
        """Take in what the same suite has found out in another process."""

    def conclude(self, folder: Path) -> list[str]:
        """What is to be said when all has run; `folder` is the report's."""


class Own:
    """The tests that the series adds, built with each kernel."""

    name = "krsi"

    def __init__(self) -> None:
        """Look which tests there are."""
        self.tests = selftests.discover()

    def order(self, variants: Sequence[str]) -> tuple[str, ...]:
        """As the user named them."""
        return tuple(variants)

    def programs(self, variants: Sequence[str]) -> dict[str, Program]:
        """The runner that was built with the kernel, and a module that one of the tests loads."""
        paths = {variant: built(variant, BuildPaths.of(variant)) for variant in variants}
        for variant in variants:
            upstream_client.add_module(variant)
        return {name: Program((str(each.runner),), each.bin) for name, each in paths.items()}

    def judge(self, variant: str) -> Judge | None:
        """Nobody."""
        del variant
        return None

    def outcomes(self) -> dict[str, parity.Column]:
        """Every subtest is an item."""
        return {}

    def learn(self, outcomes: Mapping[str, parity.Column]) -> None:
        """There is nothing but verdicts."""
        del outcomes

    def conclude(self, folder: Path) -> list[str]:
        """Nothing: pytest has said it."""
        del folder
        return []


class Clients(Own):
    """Programs of others, unmodified."""

    name = "clients"

    def __init__(self) -> None:
        """Look which tests there are."""
        self.tests = clients.discover()

    def programs(self, variants: Sequence[str]) -> dict[str, Program]:
        """What Debian has for them, and a runner of their own."""
        paths = {variant: built(variant, BuildPaths.of(variant)) for variant in variants}
        clients.prepare(tuple(paths.values()), say)
        return {name: Program(clients.runner(each), each.bin) for name, each in paths.items()}


class Upstream:
    """The kernel's own tests of LSM programs, built once and run on each kernel."""

    name = "upstream"

    def __init__(self) -> None:
        """Look which tests there are, and what the policy says."""
        self._suite = upstream.discover(upstream_client.sources())
        self.tests = self._suite.tests
        known = parse_known(
            (ROOT / parity.POLICY).read_text("utf-8"), parity.POLICY, policy.today()
        )
        parity.check(known, self.tests)
        self._comparison = parity.Comparison(known)

    def order(self, variants: Sequence[str]) -> tuple[str, ...]:
        """The baseline comes first."""
        return tuple(sorted(variants, key=lambda variant: variant != parity.BASE))

    def programs(self, variants: Sequence[str]) -> dict[str, Program]:
        """One client for all, and a guest prepared with the kernel's own test module.

        Some tests expect a timer to expire while they loop, for 5 million instructions. An emulated
        CPU on a busy host did these in 1.7 ms and was not interrupted once, in every third loop.
        """
        made = upstream_client.make(self._suite, variants)
        command = (str(made.paths.runner),)
        return {
            variant: Program(command, made.paths.bin, ("sh", str(GUEST), str(module)), steady=True)
            for variant, module in made.modules.items()
        }

    def judge(self, variant: str) -> Judge | None:
        """The comparison with the baseline."""
        return partial(self._comparison.judge, variant)

    def outcomes(self) -> dict[str, parity.Column]:
        """What the tests reported."""
        return self._comparison.columns

    def learn(self, outcomes: Mapping[str, parity.Column]) -> None:
        """Each process has run other tests."""
        for variant, column in outcomes.items():
            self._comparison.columns.setdefault(variant, {}).update(column)

    def conclude(self, folder: Path) -> list[str]:
        """The table; with every subtest it goes into the report's folder."""
        table = "\n".join(self._comparison.table(full=True))
        (folder / "parity.txt").write_text(f"{table}\n", "utf-8")
        return self._comparison.summary()


SUITES: dict[str, Callable[[], Suite]] = {"krsi": Own, "clients": Clients, "upstream": Upstream}


def built(variant: str, paths: BuildPaths) -> BuildPaths:
    """The paths of a variant that is ready to boot; otherwise BuildError with the way out."""
    for path in (paths.bzimage, paths.runner):
        if not path.exists():
            raise BuildError(
                f"kernel '{variant}' is not built ({path} is missing): "
                f"run 'make kernel VARIANT={variant}'"
            )
    return paths
