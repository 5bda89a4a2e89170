"""gdb's command line, and where the machine waits for it."""

from pathlib import Path

import pytest

from harness.machine import debugger
from harness.run import options


def test_gdb_gets_kernel_sources_and_machine() -> None:
    words = debugger.argv("krsi", Path("/t/gdb"), Path("/b"))
    assert words == [
        *("gdb", "-q", "--directory=/b/tree", "/b/krsi/kernel/vmlinux"),
        *("-ex", "target remote /t/gdb"),
    ]
    assert "--directory=/b/src-none" in debugger.argv("none", Path("/t/gdb"), Path("/b"))


def test_the_place_is_given_or_new() -> None:
    assert debugger.socket_of({"KRSI_GDB_SOCKET": "/t/gdb"}) == Path("/t/gdb")
    fresh = debugger.socket_of({})
    assert fresh != debugger.socket_of({})
    assert len(str(fresh)) < 100
    assert fresh.parent.is_dir()


@pytest.mark.parametrize(
    "argv",
    [
        ["--gdb", "-j", "2"],
        ["--no-teardown", "-j", "2"],
        ["--gdb", "--kernel", "krsi,audit"],
        ["--shell", "--cmd", "true"],
        ["-j", "0"],
    ],
)
def test_one_debugger_for_one_machine(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse(argv)
    assert caught.value.code == 2
