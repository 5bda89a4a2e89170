"""Results of made-up runs, shaped like real ones."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.model import Life, Status
from harness.report.results import Kernel, Result, Results, Subtest
from harness.verdicts.splat import Splat

START = datetime(2026, 1, 2, 11, 0, tzinfo=UTC)
MANIFEST: dict[str, Any] = {
    "variant": "krsi",
    "base": {"version": "6.12.117", "package": "6.12.117-1", "commit": "1" * 40},
    "series": {"hash": "d942fb52696e58530aba", "head": "2" * 40, "edited": False},
    "configuration": "d34aaf85fdf63a4c5709",
    "toolchain": {"gcc": "gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "ld": "GNU ld 2.40"},
    "seconds": {"kernel": 48.7, "tools": 1.4, "selftests": 1.4, "total": 51.5},
}
PLACE = "prog_tests/lsm_lifetime.c:542"
FAILED = f"{PLACE}: check_others:FAIL:before unexpected before: actual 0 != expected 1"
SPLAT = Splat(
    "warning",
    "WARNING: CPU: 0 PID: 341 at fs/bpf_fs_kfuncs.c:117 bpf_get_dentry_xattr+0xa2/0xc0",
    "lsm_files/extended_attributes",
    4,
    (
        "------------[ cut here ]------------",
        "WARNING: CPU: 0 PID: 341 at fs/bpf_fs_kfuncs.c:117 bpf_get_dentry_xattr+0xa2/0xc0",
        "CPU: 0 UID: 0 PID: 341 Comm: lsm_tests Not tainted 6.12.117-krsi #1",
        "RIP: 0010:bpf_get_dentry_xattr+0xa2/0xc0 (fs/bpf_fs_kfuncs.c:117)",
        "Call Trace:",
        " <TASK>",
        " bpf_prog_d00a+0x12/0x40",
        " security_inode_getxattr+0x31/0x60 (security/security.c:2311)",
        " </TASK>",
        "---[ end trace 0000000000000000 ]---",
    ),
)


def item(name: str, status: str = "pass", variant: str = "krsi", **more: Any) -> Result:
    return Result(name, variant, Status(status), **more)


def kernel(variant: str = "krsi", **more: Any) -> Kernel:
    life = Life(f"console-{variant}.log", START.timestamp(), START.timestamp() + 9, 1.8e9)
    return Kernel(
        variant,
        **{
            "release": f"6.12.117-{variant}",
            "consoles": (f"console-{variant}.log",),
            "machines": (replace(life, ended=START.timestamp() + 60),),
            "manifest": MANIFEST,
            **more,
        },
    )


def run(*items: Result, **more: Any) -> Results:
    """A run of these items, on the kernels that they name."""
    variants = dict.fromkeys(each.variant for each in items) or {"krsi": None}
    plain: dict[str, Any] = {
        "id": "20260102-110000-abcdef01",
        "suite": "krsi",
        "started": START,
        "seconds": 61.5,
        "exit_code": 0 if all(each.fine for each in items) else 1,
        "accelerator": "tcg (emulation: no /dev/kvm)",
        "cpus": 2,
        "host": "6.1.0",
        "kernels": tuple(map(kernel, variants)),
        "items": items,
    }
    return Results(**{**plain, **more})


def every_status(variant: str = "krsi") -> tuple[Result, ...]:
    """One item of each kind, in the order in which they ran."""
    at = START.timestamp() + 10
    return (
        item("lsm_attach/pin", variant=variant, seconds=1.25, started=at),
        item("lsm_attach", variant=variant, seconds=0.25, started=at + 1.25),
        item(
            "lsm_lifetime/netns",
            "fail",
            variant,
            seconds=2.0,
            started=at + 2,
            message=FAILED,
            diagnostics=("rounds: 4", FAILED),
        ),
        item("lsm_lifetime", "fail", variant, started=at + 4, message="failed: netns"),
        item(
            "lsm_files/extended_attributes",
            "splat",
            variant,
            seconds=0.5,
            started=at + 5,
            message=f"warning: {SPLAT.title}",
            splats=(SPLAT,),
        ),
        item("lsm_nomem", "skip", variant, started=at + 6, message="no CONFIG_FAILSLAB"),
        item("lsm_scale/leaks", "hang", variant, seconds=30, started=at + 7, message="timed out"),
        item("lsm_race/exit", "crash", variant, started=at + 40, message="Kernel panic"),
        item("lsm_race/later", "miss", variant, message="no result: the machine crashed before"),
        item("lsm_talk", "flood", variant, started=at + 45, message="the log outgrew its limit"),
        item("lsm_known/x", "xfail", variant, started=at + 46, message="bug 17 (actual 0 != 1)"),
    )


def rich() -> Results:
    """Every kind of item on two kernels, in two rounds, with all that there may be besides."""
    first = every_status()
    second = (replace(first[0], round=2, status=Status.FAIL, message="another time"),)
    strays = (replace(SPLAT, section="boot", kind="kasan"),)
    return run(
        *first,
        *second,
        *every_status("upstream")[:2],
        kernels=(kernel(strays=strays, notes=("shutdown took longer",)), kernel("upstream")),
        subtests=(Subtest("bpf_cookie/lsm", "upstream", Status.PASS),),
        options=("lsm=landlock,yama", "quiet"),
        exit_code=1,
    )
