"""A machine that means harm: its QEMU, or what boots in it, gets no further than a build."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot_fakes import Bench, unavailable
from fakes import fake_tool
from harness.bot import guest, watch
from harness.bot.guest import Guest
from harness.bot.limits import Limits
from harness.bot.workshop import Found
from harness.errors import InfraError
from harness.machine import vm

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=f"no sandbox: {unavailable()}")
FEW = Limits(seconds=8, memory=300 << 20, processes=60, file_size=1 << 30, spare=0)
# What the real one prints in the end: two words of the command that it is to run, as one.
UP = r"""
for word; do case $word in --exec=*) said=${word#--exec=} ;; esac; done
said=${said#*"printf '\n%s%s %s\n' "}; set -- $said
printf '\n%s%s up\n' "$1" "$2"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    bench = Bench.make(tmp_path)
    monkeypatch.setattr(guest, "MACHINE", FEW)
    monkeypatch.setattr(vm.Deadlines, "for_accel", classmethod(lambda *_: vm.Deadlines(4, 4, 1)))
    with bench.opened() as shop:
        shop.base_image.parent.mkdir(parents=True)
        shop.base_image.touch()
        yield Guest(shop, "tcg")
        assert watch.running(shop.sandbox.uid) == ()


def boot(machine: Guest, script: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Found, bool]:
    place = machine.shop.base.build / "venv/bin"
    vng = fake_tool(place, "vng", script)
    vng.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    monkeypatch.setattr(vm, "find_vng", lambda: vng)
    return machine._boot("boot", machine.shop.base_image)


def what(found: Found) -> set[str]:
    return {each.what for each in found.limited}


def test_a_machine_that_says_nothing_is_ended(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, up = boot(machine, "setsid sleep 1000 & trap '' INT TERM; sleep 1000", monkeypatch)
    assert not up
    assert "did not boot within 4 s" in found.faults[0]


def test_a_qemu_that_forks_wildly_is_ended_and_it_is_said(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, up = boot(machine, "b() { b | b & }; b; sleep 1000", monkeypatch)
    assert not up
    assert found.faults
    assert "processes" in what(found)


def test_a_qemu_that_takes_all_memory_is_ended_and_it_is_said(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = "perl -e '$x = \"a\" x (90 << 20); sleep 100'"
    found, up = boot(machine, f"for i in 1 2 3 4 5; do {one} & done; sleep 100", monkeypatch)
    assert not up
    assert "memory" in what(found)


def test_a_console_that_never_ends_fills_no_disk_of_ours(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = boot(machine, "cat /dev/zero | tr '\\0' x >$HOME/../console-boot.log", monkeypatch)
    assert "disk" in what(found)
    assert any("more than" in fault for fault in found.faults)


def test_a_qemu_leaves_no_link_where_we_write(
    machine: Guest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """We would create the console of the next machine wherever it leads, as root."""
    secret = tmp_path / "secret"
    secret.write_text("BUG: a secret\n", encoding="utf-8")
    secret.chmod(0o666)
    links = (
        f"cd $HOME/..; ln -sf {secret} console-boot.log; ln -s {tmp_path}/new console-krsi-2.log"
    )
    found, up = boot(
        machine, f"{links}; rm console-boot.log; {UP}; read line; sleep 9", monkeypatch
    )
    assert up
    place = machine.shop.sandbox.disk.path / "boot"
    assert [path.name for path in place.iterdir() if path.is_symlink()] == []
    assert (place / "console-boot.log").is_file()
    assert not any("secret" in fault for fault in found.faults)


def test_all_machines_together_have_a_deadline(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "MACHINE", Limits(seconds=1, spare=0))
    found, up = boot(machine, "sleep 1000", monkeypatch)
    assert not up
    assert what(found) == {"time"}


def test_where_the_base_does_not_boot_either_it_is_our_fault(
    machine: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    vng = fake_tool(machine.shop.base.build / "venv/bin", "vng", "exit 1")
    monkeypatch.setattr(vm, "find_vng", lambda: vng)
    with pytest.raises(InfraError, match="no machine comes up in the sandbox"):
        machine.boot()
