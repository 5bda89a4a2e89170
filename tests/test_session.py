"""Verdicts out of a scripted machine: streaming, replacement, and never a second run."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from harness.errors import InfraError
from harness.machine import standing
from harness.machine.console import CommandResult, GuestGoneError, Marker
from harness.machine.vm import BootError, Deadlines, Machine
from harness.model import ROOT, VARIANTS, BuildPaths, Status
from harness.run import session, testrun
from harness.run.selftests import Item, Selftest
from harness.run.session import VariantSession
from harness.run.testrun import Settings, TestRun
from harness.verdicts import splat
from harness.verdicts.verdict import KnownFailure

TEST = Selftest("lsm_x", ("a", "b", "c"), ROOT / "lsm_x.c")
A, B, C, WHOLE = TEST.items


@dataclass
class Guest:
    """What the scripted guest does: for each subtest how it goes, and what has run."""

    plan: dict[str, str] = field(default_factory=dict)
    subtests: tuple[str, ...] = ("a", "b", "c")
    ran: list[str] = field(default_factory=list)
    boots: int = 0
    options: list[tuple[str, ...]] = field(default_factory=list)
    boot_error: str = ""
    after: str = ""
    last_words: str = "reboot: Power down"
    leaks: tuple[str, ...] = ()
    search: CommandResult | Exception = field(default_factory=lambda: CommandResult("", 0))
    unbootable: tuple[tuple[str, ...], ...] = ()
    report_tail: str = ""
    dies: str = ""
    stuck: bool = False
    fragment: str = ""
    left: int = 0
    ends: int = 0


class FakeChannel:
    """Stands in for the command channel: runs the scripted runner when it is polled."""

    def __init__(self, guest: Guest, machine: Machine) -> None:
        self.guest = guest
        self.machine = machine
        self.script: list[str] = []

    def start(self, command: str, output: str) -> Marker:
        Path(output).touch()
        self.script = command.split("; ")[1].split()
        return Marker.new()

    def run(self, command: str, _: float) -> CommandResult:
        if "kmemleak" not in command:
            raise TimeoutError
        for line in self.guest.leaks:
            self.log(line)
        if isinstance(self.guest.search, Exception):
            raise self.guest.search
        return self.guest.search

    def log(self, line: str) -> None:
        with self.machine.console.open("a") as file:
            file.write(f"[    1.000000] {line}\n")

    def poll(self, *_: object) -> int | None:
        if self.guest.dies:
            self.guest.dies = ""
            raise GuestGoneError
        if self.guest.stuck:
            self.guest.stuck = False
            return None
        report = next(Path(word[9:]) for word in self.script if word.startswith("--output="))
        wanted = [word.strip("'") for word in self.script[self.script.index("--") + 1 :]]
        test = wanted[0].partition("/")[0]
        self.log(f"krsi: begin {test}")
        lines = ["KTAP version 1", "1..1", "    KTAP version 1", f"    # Subtest: {test}"]
        status = self.subtests(test, wanted, lines, report)
        if status is not None:
            self.log(f"krsi: end {test}")
        if self.guest.after:
            self.log(self.guest.after)
        with self.machine.console.open("a") as file:
            file.write(self.guest.fragment)
        return status

    def subtests(self, test: str, wanted: list[str], lines: list[str], report: Path) -> int | None:
        number = failed = 0
        for name in self.guest.subtests:
            if not {test, f"{test}/{name}"} & set(wanted):
                continue
            self.guest.ran.append(name)
            lines.append(f"    # running: {name}")
            report.write_text("\n".join(lines) + "\n")
            self.log(f"lsm_tests: {test}/{name}")
            deed = self.guest.plan.get(name, "ok")
            if deed == "flood":
                with self.machine.console.open("ab") as file:
                    file.truncate(self.machine.console.stat().st_size + 100_000_000)
            if deed == "lose":
                report.write_text("")
                return 137
            if deed == "crash":
                self.log("Kernel panic - not syncing: sysrq triggered crash")
                raise GuestGoneError
            if deed == "hang":
                return None
            if deed == "die":
                return 139
            if deed == "splat":
                self.log("WARNING: scripted")
                self.log("---[ end trace 0 ]---")
            number += 1
            failed += deed == "fail"
            lines.append(f"    {'not ok' if deed == 'fail' else 'ok'} {number} {name}")
        lines += [f"    1..{number}", f"{'not ok' if failed else 'ok'} 1 {test}"]
        report.write_text("\n".join(lines) + "\n" + self.guest.report_tail)
        return min(failed, 1)


class FakeVm:
    """Stands in for the machine."""

    def __init__(self, guest: Guest, machine: Machine) -> None:
        self.guest = guest
        self.machine = machine
        self.alive = False
        self.notes: list[str] = []
        self.release = "6.12.1"
        self.channel = FakeChannel(guest, machine)

    def __enter__(self) -> Self:
        self.guest.boots += 1
        self.guest.options.append(self.machine.options)
        self.machine.console.touch()
        if self.guest.boot_error and self.machine.options in (*self.guest.unbootable, ()):
            raise BootError(self.guest.boot_error)
        self.alive = True
        return self

    def leave(self) -> tuple[int, int]:
        self.guest.left += 1
        return 0, 0

    def end(self, *, kill: bool = False) -> None:
        self.guest.ends += 1
        if self.alive and not kill:
            self.channel.log(self.guest.last_words)
        self.alive = False


Make = Callable[..., VariantSession]


@pytest.fixture
def guest() -> Guest:
    return Guest()


@pytest.fixture
def make(guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def new_vm(machine: Machine, *_: object) -> Any:
        return FakeVm(guest, machine)

    monkeypatch.setattr(session, "Vm", new_vm)
    monkeypatch.setattr(testrun, "_RUNNER_MARGIN", 0.0)
    monkeypatch.setattr(testrun, "_LOG_LAG", 0.1)

    def make(
        *items: Item,
        known: tuple[KnownFailure, ...] = (),
        test: float = 60.0,
        tests: tuple[Selftest, ...] = (TEST,),
        variant: str = "krsi",
    ) -> VariantSession:
        settings = Settings(
            vng=Path("vng"),
            accel="tcg",
            deadlines=Deadlines(boot=1, test=test),
            policy=splat.load_policy(ROOT / "policy"),
            known=known,
            reports=tmp_path,
        )
        return VariantSession(
            VARIANTS[variant], BuildPaths(tmp_path), items, tests, settings=settings
        )

    return make


def statuses(variant: VariantSession, *items: Item) -> list[Status]:
    return [variant.verdict(item).status for item in items]


def test_one_machine_runs_everything_once(guest: Guest, make: Make) -> None:
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    assert (guest.ran, guest.boots) == (["a", "b", "c"], 1)
    variant.close()
    assert (variant.strays, variant.notes, variant.release) == ((), [], "6.12.1")


@pytest.mark.parametrize(("deed", "status"), [("crash", Status.CRASH), ("die", Status.MISS)])
def test_the_rest_runs_after_a_subtest_that_ends_it_all(
    deed: str, status: Status, guest: Guest, make: Make
) -> None:
    guest.plan["b"] = deed
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.PASS, status, Status.PASS, status]
    assert guest.ran == ["a", "b", "c"]
    assert guest.boots == (2 if deed == "crash" else 1)
    assert len(variant.consoles) == guest.boots


def test_a_hang_is_found_and_the_machine_replaced(guest: Guest, make: Make) -> None:
    guest.plan["a"] = "hang"
    variant = make(*TEST.items, test=0.0)
    assert variant.verdict(A).status is Status.HANG
    assert "0 s" in variant.verdict(A).message


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
@pytest.mark.parametrize("wanted", [TEST.items, (A, B, C), (A, C), (B, C)])
@pytest.mark.parametrize("culprit", ["a", "b", "c"])
def test_nothing_is_ever_run_twice(
    order: tuple[str, ...], wanted: tuple[Item, ...], culprit: str, guest: Guest, make: Make
) -> None:
    """Whatever crashes, in whatever order the runner runs: every subtest runs once at most."""
    guest.subtests = order
    guest.plan[culprit] = "crash"
    variant = make(*wanted)
    found = dict(zip(wanted, statuses(variant, *wanted), strict=True))
    assert len(guest.ran) == len(set(guest.ran))
    assert set(guest.ran) == {item.subtest for item in wanted if item.subtest}
    for item, status in found.items():
        crashed = item.subtest in ("", culprit)
        assert status is (Status.CRASH if crashed else Status.PASS), item


def test_several_crashes_in_one_test(guest: Guest, make: Make) -> None:
    guest.plan = {"a": "crash", "b": "crash", "c": "crash"}
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.CRASH] * 4
    assert (guest.ran, guest.boots) == (["a", "b", "c"], 3)


def test_splats_are_charged_to_their_subtest(guest: Guest, make: Make) -> None:
    guest.plan["b"] = "splat"
    variant = make(*TEST.items)
    expected = [Status.PASS, Status.SPLAT, Status.PASS, Status.SPLAT]
    assert statuses(variant, *TEST.items) == expected


@pytest.mark.parametrize("wanted", [(A, B), TEST.items])
def test_the_last_item_answers_for_what_belongs_to_no_subtest(
    wanted: tuple[Item, ...], guest: Guest, make: Make
) -> None:
    guest.after = "WARNING: late"
    variant = make(*wanted)
    found = statuses(variant, *wanted)
    assert found == [Status.PASS] * (len(wanted) - 1) + [Status.SPLAT]


def test_a_failure_of_another_subtest_is_not_charged_to_the_last(guest: Guest, make: Make) -> None:
    guest.plan["a"] = "fail"
    variant = make(A, B)
    assert statuses(variant, A, B) == [Status.FAIL, Status.PASS]


def test_what_the_kernel_says_while_it_goes_down_is_not_lost(guest: Guest, make: Make) -> None:
    guest.last_words = "WARNING: at last"
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    variant.close()
    assert [(found.section, found.title) for found in variant.strays] == [
        ("shutdown", "WARNING: at last")
    ]


def test_a_machine_that_does_not_boot(guest: Guest, make: Make) -> None:
    guest.boot_error = "it panicked"
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.MISS] * 4
    assert guest.boots == 1
    assert isinstance(variant.error, InfraError)
    assert "it panicked" in str(variant.error)
    assert variant.verdict(A).message == "did not run: the machine did not boot"


def test_a_machine_with_other_options_may_still_boot(guest: Guest, make: Make) -> None:
    """What does not boot is tried once, and fails the run."""
    bad, good = ("bad",), ("good",)
    guest.boot_error, guest.unbootable = "no root", (bad,)
    names = {"lsm_y": bad, "lsm_z": bad, "lsm_v": good}
    tests = tuple(Selftest(name, ("a",), ROOT, options) for name, options in names.items())
    items = [item for test in tests for item in test.items]
    guest.subtests = ("a",)
    variant = make(*items, tests=tests)
    assert statuses(variant, *items) == [Status.MISS] * 4 + [Status.PASS] * 2
    assert guest.options == [bad, good]
    assert "no root" in str(variant.error)


OTHER = Selftest("lsm_y", ("a", "b", "c"), ROOT)


def halfway(make: Make) -> VariantSession:
    """The first of two tests has passed."""
    variant = make(*TEST.items, *OTHER.items, tests=(TEST, OTHER))
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    return variant


PANIC = "BUG: kernel NULL pointer dereference, address: 0000000000000008"


@pytest.mark.parametrize("words", [PANIC, "sysrq: Resetting"])
def test_a_machine_that_dies_between_tests_is_noticed(words: str, guest: Guest, make: Make) -> None:
    """No test is to blame, all are run, and the run fails."""
    variant = halfway(make)
    assert variant._vm
    variant._vm.channel.log(words)  # type: ignore[attr-defined]
    variant._vm.alive = False  # type: ignore[misc]
    assert statuses(variant, *OTHER.items) == [Status.PASS] * 4
    assert guest.boots == 2
    (stray,) = variant.strays
    assert stray.section == "after lsm_x"
    assert stray.title == (PANIC if words == PANIC else "the machine ended by itself")


@pytest.mark.parametrize("words", [PANIC, ""])
def test_a_machine_that_dies_after_the_last_test_is_noticed(words: str, make: Make) -> None:
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    assert variant._vm
    variant._vm.channel.log(words)  # type: ignore[attr-defined]
    variant._vm.alive = False  # type: ignore[misc]
    variant.close()
    assert [stray.kind for stray in variant.strays] == ["oops" if words else "gone"]


@pytest.mark.parametrize("how", ["dies", "stuck"])
def test_a_test_that_has_not_begun_is_not_to_blame(how: str, guest: Guest, make: Make) -> None:
    variant = halfway(make)
    if how == "dies":
        guest.dies = "yes"
    else:
        guest.stuck = True
        variant._settings = replace(variant._settings, deadlines=Deadlines(boot=1, test=0.0))
    assert variant.verdict(OTHER.items[0]).status is Status.PASS
    assert statuses(variant, *OTHER.items) == [Status.PASS] * 4
    assert guest.boots == 2
    (stray,) = variant.strays
    assert (stray.kind, stray.section) == ("gone", "after lsm_x")
    assert stray.title == ("the machine ended by itself" if how == "dies" else "the machine hung")


def test_a_fresh_machine_that_dies_has_an_end(guest: Guest, make: Make) -> None:
    """Whoever was to run in it is charged, or machines would be booted for ever."""
    guest.dies = "yes"
    variant = make(A, WHOLE)
    assert statuses(variant, A, WHOLE) == [Status.MISS, Status.CRASH]
    assert guest.boots == 1


def test_a_result_that_was_lost_is_not_asked_for_again(guest: Guest, make: Make) -> None:
    """The second run might pass where the first one failed."""
    guest.plan = {"a": "fail", "b": "lose"}
    variant = make(*TEST.items)
    found = dict(zip("abcw", statuses(variant, *TEST.items), strict=True))
    assert found["a"] in (Status.FAIL, Status.MISS)
    assert found["b"] is found["w"] is Status.MISS
    assert guest.ran.count("a") == 1


def test_a_flood_ends_the_machine_and_is_not_read(guest: Guest, make: Make) -> None:
    guest.plan["b"] = "flood"
    variant = make(*TEST.items)
    tracemalloc.start()
    found = statuses(variant, *TEST.items)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The runner went on, and its report is there: what is not known is what the kernel said.
    assert found[-1] is Status.FLOOD
    assert "outgrew its limit" in variant.verdict(WHOLE).message
    assert peak < 100_000_000
    assert guest.boots == 1
    assert variant._vm is None


def test_a_line_that_has_not_ended_is_left_to_the_next(guest: Guest, make: Make) -> None:
    """Read in halves, no half would be recognised."""
    guest.fragment = "[    1.000000] WARN"
    variant = halfway(make)
    guest.fragment = ""
    with variant.consoles[0].open("a") as file:
        file.write("ING: late\n")
    assert statuses(variant, *OTHER.items) == [Status.PASS] * 3 + [Status.SPLAT]


def test_no_line_falls_between_two_runs(make: Make) -> None:
    """What is printed while one run is judged belongs to the next."""
    variant = make(*TEST.items, *OTHER.items, tests=(TEST, OTHER))
    conclude = variant._conclude

    def late_conclude(run: TestRun, evidence: Any) -> None:
        if run.test is TEST:
            variant._vm.channel.log("WARNING: late")  # type: ignore[union-attr]
        conclude(run, evidence)

    variant._conclude = late_conclude  # type: ignore[method-assign]
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    assert statuses(variant, *OTHER.items) == [Status.PASS] * 3 + [Status.SPLAT]


@pytest.mark.parametrize("size", [100, 6_000_000])
def test_a_report_that_is_too_long_proves_nothing(
    size: int, guest: Guest, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testrun, "REPORT_LIMIT", 1000)
    guest.report_tail = "# " + "x" * size + "\n"
    variant = make(*TEST.items)
    found = statuses(variant, *TEST.items)
    assert found[-1] is (Status.PASS if size == 100 else Status.FAIL)


def test_rounds_share_a_machine_and_their_reports_do_not_mix(guest: Guest, make: Make) -> None:
    variant = make(*TEST.items)
    assert statuses(variant, *TEST.items) == [Status.PASS] * 4
    variant.next_round()
    guest.plan["b"] = "fail"
    expected = [Status.PASS, Status.FAIL, Status.PASS, Status.FAIL]
    assert statuses(variant, *TEST.items) == expected
    assert guest.ran == ["a", "b", "c"] * 2
    assert guest.boots == 1
    first, second = variant.rounds
    assert first[B].status is Status.PASS
    assert second[B].status is Status.FAIL


def test_what_was_never_asked_for_is_a_miss(make: Make) -> None:
    assert {verdict.status for verdict in make(A, B).complete().values()} == {Status.MISS}


def test_known_failures_spare_their_test(guest: Guest, make: Make) -> None:
    guest.plan["b"] = "fail"
    variant = make(*TEST.items, known=(KnownFailure("any", "lsm_x/b", "a gap"),))
    expected = [Status.PASS, Status.XFAIL, Status.PASS, Status.XFAIL]
    assert statuses(variant, *TEST.items) == expected


def test_a_machine_boots_with_what_its_tests_need(guest: Guest, make: Make) -> None:
    yama = ("lsm=yama",)
    others = tuple(Selftest(name, ("a", "b", "c"), ROOT, yama) for name in ("lsm_y", "lsm_z"))
    items = [item for test in (TEST, *others) for item in test.items]
    variant = make(*items, tests=(TEST, *others))
    assert statuses(variant, *items) == [Status.PASS] * 12
    assert guest.options == [(), yama]
    variant.close()
    assert len(variant.consoles) == 2


def test_guest_script_quotes_and_marks() -> None:
    runner, report = ["/b in/lsm_tests"], Path("/r/x")
    script = testrun.guest_script(runner, report, "lsm_x", ["lsm_x/a*"], 5.0, environment={})
    assert script == (
        "echo '<5>krsi: begin lsm_x' >/dev/kmsg; "
        "'/b in/lsm_tests' --kmsg --timeout=5 --output=/r/x -- 'lsm_x/a*'; status=$?; "
        "echo '<5>krsi: end lsm_x' >/dev/kmsg; (exit $status)"
    )


def test_guest_script_passes_the_tests_their_environment() -> None:
    ours = {"HOME": "/root", "LSM_TEST_B": "2 3", "LSM_TEST_A": "1"}
    theirs = testrun.test_environment(ours)
    assert theirs == {"LSM_TEST_A": "1", "LSM_TEST_B": "2 3"}
    script = testrun.guest_script(["/b"], Path("/r"), "x", ["x"], 5.0, environment=theirs)
    assert "; LSM_TEST_A=1 LSM_TEST_B='2 3' /b --kmsg " in script


def test_leaks_are_looked_for_where_the_kernel_can_find_them(guest: Guest, make: Make) -> None:
    guest.leaks = (
        "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "unreferenced object 0xffff888004242400 (size 192):",
        '  comm "lsm_tests", pid 77, jiffies 4294900000',
    )
    plain, debug = make(*TEST.items), make(*TEST.items, variant="debug")
    for variant in plain, debug:
        assert statuses(variant, *TEST.items) == [Status.PASS] * len(TEST.items)
        variant.close()
    assert not plain.strays
    assert {stray.kind for stray in debug.strays} == {"leak"}


@pytest.mark.parametrize(
    ("search", "why"),
    [
        (CommandResult("scan: Operation not permitted\n", 1), "Operation not permitted"),
        (CommandResult("", 1), "exit status 1"),
        (TimeoutError(), "it did not end"),
        (GuestGoneError(), "the machine ended during it"),
    ],
)
def test_a_search_for_leaks_that_was_not_made_has_not_found_none(
    search: CommandResult | Exception, why: str, guest: Guest, make: Make
) -> None:
    guest.search = search
    debug = make(*TEST.items, variant="debug")
    assert statuses(debug, *TEST.items) == [Status.PASS] * len(TEST.items)
    debug.close()
    (stray,) = debug.strays
    assert stray.kind == "leak"
    assert why in stray.title


def test_a_failure_comes_with_leads(guest: Guest, make: Make) -> None:
    guest.plan = {"a": "splat", "b": "crash"}
    variant = make(*TEST.items)
    variant._settings = replace(variant._settings, again="{} {}".format)
    a, b, c, _ = [variant.verdict(item) for item in TEST.items]
    assert (a.again, b.again, c.again) == ("krsi lsm_x/a", "krsi lsm_x/b", "")
    assert [Path(log).name for log in b.logs] == ["console-krsi.log", "krsi"]
    assert len({a.fingerprint, b.fingerprint}) == 2
    assert (c.fingerprint, c.console) == ("", ())
    guest.plan = {"c": "crash"}
    variant.next_round()
    assert variant.verdict(C).fingerprint == b.fingerprint
    assert Path(variant.verdict(C).logs[0]).name == "console-krsi-2.log"


@pytest.mark.parametrize(("deed", "left"), [("fail", 1), ("ok", 0), ("hang", 1)])
def test_a_machine_is_left_up_after_a_failure(
    deed: str, left: int, guest: Guest, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = standing.Standing(7, "door", "console")
    monkeypatch.setattr(standing, "keep", lambda *_: kept)
    guest.plan = {"a": deed}
    variant = make(A, test=0.0 if deed == "hang" else 60.0)
    variant._settings = replace(variant._settings, leave=True)
    variant.verdict(A)
    variant.close()
    assert (guest.left, guest.ends) == (left, 1 - left)
    assert bool(left) == ("'kill 7' ends it" in "".join(variant.notes))


def test_a_machine_that_is_gone_cannot_be_left(guest: Guest, make: Make) -> None:
    guest.plan = {"a": "fail"}
    variant = make(A)
    variant._settings = replace(variant._settings, leave=True)
    variant.verdict(A)
    variant._vm.alive = False  # type: ignore[misc,union-attr]
    variant.close()
    assert (guest.left, guest.ends) == (0, 1)
    assert "nothing to enter" in "".join(variant.notes)
