"""The virtual machine: its command line, and its end in all cases, with a stand-in for vng."""

import os
import shlex
import signal
import time
from pathlib import Path

import pytest

from harness.machine import vm
from harness.machine.console import Marker
from harness.machine.vm import BootError, Deadlines, Machine, Vm

# Runs what the guest would run, in a local shell that cannot mount anything.
LOCAL = """#!/bin/bash
mount() { :; }; export -f mount
for word; do case $word in --exec=*) script=${word#--exec=};; esac; done
@before@
bash -c "$script"
"""
EXEC = (
    "mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; export PATH=/r/bin:$PATH; "
    "printf '\\n%s%s %s\\n' head tail \"$(uname -r)\"; exec bash --norc --noprofile"
)
DEADLINES = Deadlines(boot=5, test=5, shutdown=2)


def fake_vng(folder: Path, before: str = "") -> Path:
    path = folder / "vng"
    path.write_text(LOCAL.replace("@before@", before))
    path.chmod(0o755)
    return path


def machine(folder: Path, **changes: object) -> Machine:
    settings: dict[str, object] = {
        "name": "krsi-test",
        "bzimage": folder / "bz Image",
        "share": folder,
        "bin": folder / "bin",
        "console": folder / "console.log",
        "accel": "tcg",
        "memory": "2G",
    }
    return Machine(**(settings | changes))  # type: ignore[arg-type]


def test_a_guest_is_set_up_before_it_is_ready(tmp_path: Path) -> None:
    prepared = machine(tmp_path, setup=("sh", "/a b/guest.sh"))
    words = vm.script_argv(Path("/v/vng"), prepared, Marker("head", "tail"))
    script = next(word for word in words if word.startswith("--exec="))
    assert "; sh '/a b/guest.sh' || exit 1; printf" in script


def test_a_steady_clock_counts_instructions() -> None:
    for accel, given in (("tcg", True), ("kvm", False)):
        argv = vm.batch_argv(Path("/v/vng"), machine(Path("/r"), steady=True, accel=accel))
        assert ("-icount shift=0,sleep=on" in argv[-1]) is given


def test_a_guest_that_cannot_be_set_up_does_not_boot(tmp_path: Path) -> None:
    broken = machine(tmp_path, setup=("sh", "-c", "echo no loop device; exit 3"))
    with (
        pytest.raises(BootError, match="no loop device"),
        Vm(broken, DEADLINES, fake_vng(tmp_path)),
    ):
        pass


def test_script_argv(tmp_path: Path) -> None:
    argv = vm.script_argv(Path("/v/vng"), machine(Path("/r")), Marker("head", "tail"))
    assert argv == [
        "/v/vng",
        "--run='/r/bz Image'",
        "--name=krsi-test",
        "--memory=2G",
        "--cpus=2",
        "--rwdir=/r",
        "--user=root",
        "--skip-modules",
        "--force-9p",
        "--disable-kvm",
        "--append=loglevel=7 printk.time=1 printk.devkmsg=on oops=panic",
        f"--exec={EXEC}",
        "--qemu-opts=-accel tcg,thread=single -set chardev.console.path=/r/console.log",
    ]
    options = vm.script_argv(
        Path("/v/vng"), machine(Path("/r"), options=("a=1", "b")), Marker.new()
    )
    assert any(word.startswith("--append=") and word.endswith(" a=1 b") for word in options)
    assert "--cpus=4" in vm.script_argv(Path("/v/vng"), machine(tmp_path, cpus=4), Marker.new())
    kvm = vm.script_argv(Path("/v/vng"), machine(tmp_path, accel="kvm"), Marker.new())
    assert "--disable-kvm" not in kvm
    assert not any("-accel" in word for word in kvm)


def test_a_bare_machine_has_nothing_of_ours(tmp_path: Path) -> None:
    bare = machine(Path("/r"), options=("a=1",), setup=("sh",))
    assert vm.bare_argv(Path("/v/vng"), bare, Marker("head", "tail")) == [
        "/v/vng",
        "--run='/r/bz Image'",
        "--memory=2G",
        "--cpus=2",
        "--disable-kvm",
        "--exec=printf '\\n%s%s %s\\n' head tail up",
    ]
    with Vm(machine(tmp_path), DEADLINES, fake_vng(tmp_path), vm.bare_argv) as running:
        running.channel.drain(5)
    assert not running.alive
    assert running.notes == []


def test_shell_argv() -> None:
    argv = vm.shell_argv(Path("/v/vng"), machine(Path("/r")), Path("/r/my sh"))
    assert argv[-2:] == ["--shell='/r/my sh'", "--qemu-opts=-accel tcg,thread=single"]
    assert not any(word.startswith(("--exec", "--append")) for word in argv)


def test_whatever_runs_in_a_machine_it_boots_with_its_options(tmp_path: Path) -> None:
    asked = machine(Path("/r"), options=("lsm=yama", 'dyndbg="file', 'x"'))
    vng = Path("/v/vng")
    for argv in (
        vm.shell_argv(vng, asked, tmp_path),
        vm.batch_argv(vng, asked),
        vm.command_argv(vng, asked, tmp_path, tmp_path),
        vm.script_argv(vng, asked, Marker.new()),
    ):
        given = next(word for word in argv if word.startswith("--append="))
        # vng splits it as a shell does.
        assert shlex.split(given.removeprefix("--append="))[-3:] == [*asked.options]


def test_the_shell_has_our_programs_on_path() -> None:
    script = vm.shell_script(machine(Path("/my r")))
    assert "PATH='/my r/bin':$PATH" in script
    assert script.startswith("#!/bin/sh\n")


def test_batch_argv() -> None:
    argv = vm.batch_argv(Path("/v/vng"), machine(Path("/r")))
    assert argv[-2].endswith("; exec bash")
    assert "PATH=/r/bin:$PATH" in argv[-2]


def test_a_machine_boots_answers_and_ends(tmp_path: Path) -> None:
    with Vm(machine(tmp_path), DEADLINES, fake_vng(tmp_path)) as running:
        assert running.release == os.uname().release
        assert running.channel.run("echo $PATH", 5).output.startswith(f"{tmp_path}/bin:")
        pid = int(running.channel.run("echo $PPID", 5).output)
    assert not running.alive
    assert running.notes == []
    assert not Path(f"/proc/{pid}").exists()
    running.end()


def test_a_kernel_that_ends_while_booting(tmp_path: Path) -> None:
    vng = fake_vng(tmp_path, "printf 'virtme: \\033[2Jno such image\\n'; exit 1")
    with pytest.raises(BootError, match=r"�\[2Jno such image"):
        Vm(machine(tmp_path), DEADLINES, vng).__enter__()


def test_a_kernel_that_hangs_while_booting(tmp_path: Path) -> None:
    vng = fake_vng(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    deadlines = Deadlines(boot=0.5, test=1)
    with (
        pytest.raises(BootError, match="did not boot within"),
        Vm(machine(tmp_path), deadlines, vng),
    ):
        pass
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_machine_that_does_not_shut_down_is_ended_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm, "_GRACE", 0.2)
    vng = fake_vng(tmp_path, "trap '' INT TERM HUP")
    vng.write_text(vng.read_text() + "sleep 60\n")
    start = time.monotonic()
    deadlines = Deadlines(boot=5, test=5, shutdown=0.3)
    with Vm(machine(tmp_path), deadlines, vng) as running:
        group = running.channel.run("ps -o pgid= $$", 5).output.strip()
    assert running.notes == ["shutdown took longer than 0 s"]
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.killpg(int(group), 0)


def test_an_exception_ends_the_machine_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm, "_GRACE", 0.2)
    running = Vm(machine(tmp_path), DEADLINES, fake_vng(tmp_path))
    with pytest.raises(KeyboardInterrupt), running:
        signal.raise_signal(signal.SIGINT)
    assert not running.alive


def test_deadlines_differ_by_accelerator() -> None:
    assert Deadlines.for_accel("kvm").boot < Deadlines.for_accel("tcg").boot
    assert Deadlines.for_accel("tcg", 7).test == 7


def test_deadlines_differ_by_kernel() -> None:
    fast, slow = Deadlines.for_accel("tcg"), Deadlines.for_accel("tcg", patience=5)
    assert (slow.boot, slow.test) == (5 * fast.boot, 5 * fast.test)
    assert slow.shutdown == 5 * fast.shutdown
    assert Deadlines.for_accel("tcg", 7, patience=5).test == 7


def test_a_door_and_a_debugger_are_asked_for(tmp_path: Path) -> None:
    marker = Marker("head", "tail")
    plain = vm.script_argv(Path("/v/vng"), machine(tmp_path), marker)
    assert not [word for word in plain if "hvc0" in word or "gdb" in word or "nokaslr" in word]
    asked = machine(tmp_path, door=Path("/t/door"), debugger=Path("/t/gdb"))
    words = vm.script_argv(Path("/v/vng"), asked, marker)
    qemu = words[-1]
    assert "-chardev socket,id=door,server=on,wait=off,path=/t/door" in qemu
    assert "-device virtconsole,chardev=door,bus=door.0" in qemu
    assert "-S -chardev socket,id=gdb,server=on,wait=off,path=/t/gdb -gdb chardev:gdb" in qemu
    assert any("nokaslr" in word for word in words if word.startswith("--append="))
    script = next(word for word in words if word.startswith("--exec="))
    assert "/dev/hvc0" in script
    assert "& printf" in script, "the shell behind the door keeps nobody waiting"
