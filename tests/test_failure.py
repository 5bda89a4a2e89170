"""What is said of a failure, and which failures are the same."""

from dataclasses import replace

import pytest

import replay
from harness.model import ROOT, Status
from harness.verdicts import failure
from harness.verdicts.splat import Splat, load_policy, scan
from harness.verdicts.verdict import Verdict

LOG = """\
[    1.000000] krsi: begin lsm_x
[    1.100000] before
[    1.200000] lsm_tests: lsm_x/a
[    1.300000] the last words
[    1.400000] WARNING: CPU: 1 PID: 77 at kernel/foo.c:12 foo+0x10/0x20
[    1.500000] RIP: 0010:foo+0x10/0x20
[    1.600000] Call Trace:
[    1.700000]  <TASK>
[    1.800000]  __warn+0x1/0x2
[    1.900000]  bar.isra.0+0x30/0x40
[    2.000000]  bpf_prog_0123456789abcdef_deny+0x1/0x2
[    2.100000]  bpf_trampoline_6442470000+0x5/0x6
[    2.200000]  entry_SYSCALL_64_after_hwframe+0x1/0x2
[    2.300000]  </TASK>
[    2.400000] ---[ end trace 0000000000000000 ]---
[    2.500000] lsm_tests: lsm_x/b
[    2.600000] afterwards
"""


def warning(log: str = LOG) -> Splat:
    (found,) = scan(log, load_policy(ROOT / "policy"))
    return found


def test_a_signature_names_the_functions_that_matter() -> None:
    said = failure.signature(warning())
    assert said == "warning in foo < bar < bpf_prog_deny < bpf_trampoline_"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("+0x10/0x20", "+0x18/0x28"),
        ("CPU: 1 PID: 77", "CPU: 0 PID: 99"),
        ("0123456789abcdef", "fedcba9876543210"),
        ("6442470000", "6442471111"),
        ("bar.isra.0", "bar.constprop.2"),
    ],
)
def test_addresses_and_numbers_make_no_difference(here: str, there: str) -> None:
    assert failure.signature(warning()) == failure.signature(warning(LOG.replace(here, there)))


def test_another_function_or_kind_is_another_crash() -> None:
    said = failure.signature(warning())
    assert failure.signature(warning(LOG.replace("bar.isra", "qux"))) != said
    assert failure.signature(replace(warning(), kind="oops")) != said


def test_without_a_trace_it_is_the_title() -> None:
    found = Splat("oom", "Out of memory: Killed process 12 (x)", "", 1, ())
    other = replace(found, title="Out of memory: Killed process 7 (x)")
    assert failure.signature(found) == failure.signature(other)
    assert failure.signature(found) != failure.signature(replace(other, title="Out of cheese"))


def test_what_real_machines_left_is_told_apart() -> None:
    runs = ("panic-1", "console-1", "innocent-1", "memory-1")
    first = [replay.evidence(replay.GOLDEN / run).splats[0] for run in runs]
    said = [failure.signature(found) for found in first]
    trace = "sysrq_handle_crash < __handle_sysrq < write_sysrq_trigger < proc_reg_write"
    assert said[0] == f"panic in {trace}"
    assert len({failure.fingerprint(each) for each in said}) == 4


def test_a_machine_that_vanished_is_a_crash_and_a_whole_test_points_to_its_subtest() -> None:
    assert failure.of_verdict(Verdict(Status.CRASH, "it ended at 12.5")) == "crash: it ended at N.N"
    assert failure.of_verdict(Verdict(Status.CRASH, "in a: it ended")) == ""
    assert failure.of_verdict(Verdict(Status.FAIL, "bad")) == ""


def test_the_log_around_a_failure() -> None:
    assert failure.excerpt(LOG, "lsm_x/a", [warning()]) == ("the last words",)
    assert failure.excerpt(LOG, "lsm_x/b", [warning()]) == ("afterwards",)
    assert failure.excerpt(LOG, "lsm_x", []) == ("before",)
    assert failure.excerpt(LOG, "lsm_y", []) == ()
    many = LOG + "".join(f"[    3.000000] line {number}\n" for number in range(40))
    assert failure.excerpt(many, "lsm_x/b", [])[-1] == "line 39"
    assert len(failure.excerpt(many, "lsm_x/b", [])) == 15


def test_everything_is_said() -> None:
    found = warning()
    said = failure.explain(
        Verdict(
            Status.SPLAT,
            "why",
            ("printed",),
            (found,),
            console=("the last words",),
            fingerprint="0123",
            logs=("a/console.log", "a/krsi"),
            again="./run_tests.py --kernel krsi lsm_x/a",
        )
    ).splitlines()
    assert said[:2] == ["why", "  printed"]
    assert said[3:5] == ["the kernel's log before:", "  the last words"]
    assert said[6] == f"[warning] {found.title}"
    assert said[-3:] == [
        "fingerprint: 0123 (warning in foo < bar < bpf_prog_deny < bpf_trampoline_)",
        "logs:        a/console.log, a/krsi",
        "again:       ./run_tests.py --kernel krsi lsm_x/a",
    ]
    assert failure.explain(Verdict(Status.FAIL, "why")) == "why"


def test_half_a_character_has_a_fingerprint() -> None:
    """JSON can bring one, and a report is made from JSON."""
    assert failure.fingerprint("a\ud800") != failure.fingerprint("a\ud801")
