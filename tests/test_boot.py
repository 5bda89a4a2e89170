"""A kernel that is booted with our own init is judged by its console alone."""

from pathlib import Path

import pytest

from harness.kernel.arch import ARCHES, ARM64, X86
from harness.machine import boot, initramfs
from harness.verdicts import splat

POLICY = splat.load_policy(boot.POLICY)
CONSOLE = """\
[    0.000000] Booting Linux
[    1.200000] some driver: a warning that is no splat
KTAP version 1\r
ok 1 deny\r
[    2.000000] clocksource: something in between
# 38 programs on one hook\r
ok 2 full_hook\r
1..2\r
[    4.455947] reboot: Restarting system
"""


def test_a_run_in_which_all_is_well() -> None:
    assert boot.judge(CONSOLE, POLICY) == ()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("ok 1 deny", "# error 13\r\nnot ok 1 deny", "deny: error 13"),
        ("ok 1 deny", "not ok 1 deny", "deny: failed"),
        ("1..2\r\n", "", "report: the plan (1..N) is missing, the report is truncated"),
        ("ok 2 full_hook\r\n", "", "report: 2 results were planned, 1 came"),
        (
            "some driver: a warning that is no splat",
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "oops: BUG: kernel NULL pointer dereference, address: 0000000000000000",
        ),
    ],
)
def test_what_is_wrong_with_a_run(old: str, new: str, fault: str) -> None:
    assert boot.judge(CONSOLE.replace(old, new), POLICY) == (fault,)


def test_a_machine_that_dies() -> None:
    panic = "[    1.0] Kernel panic - not syncing: No working init found.\n"
    first, *_ = boot.judge(panic, POLICY)
    assert first.startswith("panic: Kernel panic")
    assert boot.judge("", POLICY) == ("report: no KTAP header",)


def test_init_that_gives_up() -> None:
    text = "[    1.0] Booting\nBail out! BPF_MAP_CREATE: Function not implemented\n"
    assert boot.judge(text, POLICY) == ("Bail out! BPF_MAP_CREATE: Function not implemented",)


def test_the_command() -> None:
    words = boot.argv(ARM64, Path("/k/Image"), Path("/k/initrd"), audit=False)
    assert words[0] == "qemu-system-aarch64"
    assert words[-1] == "console=ttyAMA0 lsm=bpf panic=-1 loglevel=5"
    assert "-no-reboot" in words
    assert boot.argv(X86, Path("i"), Path("r"), audit=True)[-1].endswith(" krsi.audit")
    assert set(ARCHES) == {"x86", "arm64"}


def test_an_archive() -> None:
    data = initramfs.archive({"init": b"\x7fELF!"})
    assert data[:6] == b"070701"
    assert int(data[14:22], 16) == 0o100755  # mode
    assert int(data[54:62], 16) == 5  # size
    assert data[110:115] == b"init\0"
    assert data[116:121] == b"\x7fELF!"
    assert len(data) % 4 == 0
    assert b"TRAILER!!!" in data
