"""The virtual machine: a pure builder of virtme-ng's command line and a context manager.

The guest sees the host's root read-only (9p), a folder of ours read-write, and three ways out:
the kernel's console (a file), the command channel (`console.Channel`), and that folder.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from harness import proc
from harness.errors import InfraError
from harness.machine import console
from harness.machine.console import Channel, GuestGoneError, Marker
from harness.model import ROOT, Life
from harness.verdicts import files

Accel = Literal["kvm", "tcg"]

KERNEL_OPTIONS = ("loglevel=7", "printk.time=1", "printk.devkmsg=on", "oops=panic")
"""Everything into the log, with times; markers are not rate limited; an oops is a crash."""

_GRACE = 2.0


@dataclass(frozen=True)
class Deadlines:
    """How long each phase may take, in seconds."""

    boot: float
    test: float
    shutdown: float = 15.0

    @classmethod
    def for_accel(cls, accel: Accel, test: float | None = None, patience: int = 1) -> "Deadlines":
        """What is generous on a loaded machine; emulation is given more, a slow kernel even more.

        Somebody who says how long a `test` may take knows what kernel it is.
        """
        boot = 30.0 if accel == "kvm" else 120.0
        return cls(boot * patience, test or 120.0 * patience, cls.shutdown * patience)


DEFAULT_CPUS = 2
"""Two are enough for most races, and each one more slows down emulation."""


@dataclass(frozen=True)
class Machine:
    """What a virtual machine is made of.

    Attributes:
        name: host name of the guest.
        bzimage: the kernel.
        share: a folder that the guest may write to, at the same path.
        bin: a folder that comes first on PATH in the guest.
        console: the file that receives the kernel's log.
        accel: who executes the guest's instructions.
        memory: in QEMU's notation.
        cpus: how many.
        setup: a command that prepares the guest, run once; without success there is no machine.
        steady: an emulated CPU's clock goes on with each instruction (one a nanosecond), and not
            with the host's time, of which it gets only a part while the host is busy.
        options: for the kernel's command line, besides `KERNEL_OPTIONS`.
        door: a socket at which a root shell waits for a person; None for none.
        debugger: a socket at which the machine waits for gdb before its first instruction.
    """

    name: str
    bzimage: Path
    share: Path
    bin: Path
    console: Path
    accel: Accel
    memory: str
    cpus: int = DEFAULT_CPUS
    setup: tuple[str, ...] = ()
    steady: bool = False
    options: tuple[str, ...] = ()
    door: Path | None = None
    debugger: Path | None = None


def _common(machine: Machine) -> list[str]:
    """What every boot asks of vng. Values are quoted: vng hands its arguments to a shell."""
    return [
        f"--run={shlex.quote(str(machine.bzimage))}",
        f"--name={shlex.quote(machine.name)}",
        f"--memory={machine.memory}",
        f"--cpus={machine.cpus}",
        f"--rwdir={shlex.quote(str(machine.share))}",
        "--user=root",
        "--skip-modules",
        "--force-9p",
        *(["--disable-kvm"] if machine.accel == "tcg" else []),
    ]


def _qemu_options(machine: Machine, *more: str) -> list[str]:
    """What goes to QEMU itself; nothing may follow it on vng's command line."""
    words = [*_emulation(machine), *more]
    if machine.door is not None:
        words += ["-device virtio-serial-pci,id=door", _socket("door", machine.door)]
        words.append("-device virtconsole,chardev=door,bus=door.0")
    if machine.debugger is not None:
        words += ["-S", _socket("gdb", machine.debugger), "-gdb chardev:gdb"]
    return [f"--qemu-opts={' '.join(words)}"] if words else []


def _emulation(machine: Machine) -> list[str]:
    """How QEMU emulates the CPUs, if it does.

    With a thread for each CPU, emulation loses races that real CPUs do not lose: a breakpoint
    that the kernel puts into code while it patches it is met after its handler is gone, and
    every static call and static key is patched that way. One thread runs them in turn.
    """
    if machine.accel != "tcg":
        return []
    return ["-accel tcg,thread=single", *(["-icount shift=0,sleep=on"] if machine.steady else [])]


def _socket(name: str, path: Path) -> str:
    return f"-chardev socket,id={name},server=on,wait=off,path={shlex.quote(str(path))}"


def _porter(machine: Machine) -> str:
    """Shell commands that keep a shell behind the door, on a terminal of its own."""
    if machine.door is None:
        return ""
    shell = "TERM=linux PS1='krsi# ' setsid --ctty bash --norc -i </dev/hvc0 >/dev/hvc0 2>&1"
    return f"( while sleep 0.2; do {shell}; done ) & "


def _prepare(machine: Machine) -> str:
    """Shell commands that every session in the guest begins with."""
    path = f"export PATH={shlex.quote(str(machine.bin))}:$PATH"
    commands = f"mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; {path}"
    return f"{commands}; {shlex.join(machine.setup)} || exit 1" if machine.setup else commands


def script_argv(vng: Path, machine: Machine, ready: Marker) -> list[str]:
    """The command line of a machine that is driven over its command channel. Pure.

    The console of the kernel, which vng discards in this mode, is redirected to the file.
    """
    said = ready.command('"$(uname -r)"')
    return [
        str(vng),
        *_common(machine),
        *_append(*KERNEL_OPTIONS, *_debugged(machine), *machine.options),
        f"--exec={_prepare(machine)}; {_porter(machine)}{said}; exec bash --norc --noprofile",
        *_qemu_options(machine, f"-set chardev.console.path={shlex.quote(str(machine.console))}"),
    ]


def _append(*options: str) -> list[str]:
    """What vng adds to the kernel's command line; it splits this as a shell does."""
    return [f"--append={shlex.join(options)}"] if options else []


def _debugged(machine: Machine) -> tuple[str, ...]:
    """A debugger looks for the kernel where vmlinux says that it is."""
    return ("nokaslr",) if machine.debugger is not None else ()


def bare_argv(vng: Path, machine: Machine, ready: Marker) -> list[str]:
    """The command line of the same kernel as a user of vng boots it, to say that it is up. Pure."""
    return [
        str(vng),
        f"--run={shlex.quote(str(machine.bzimage))}",
        f"--memory={machine.memory}",
        f"--cpus={machine.cpus}",
        *(["--disable-kvm"] if machine.accel == "tcg" else []),
        f"--exec={ready.command('up')}",
    ]


def shell_argv(vng: Path, machine: Machine, shell: Path) -> list[str]:
    """The command line of a machine with a person in front of it. Pure."""
    return [
        str(vng),
        *_common(machine),
        *_append(*machine.options),
        f"--shell={shlex.quote(str(shell))}",
        *_qemu_options(machine),
    ]


def batch_argv(vng: Path, machine: Machine) -> list[str]:
    """The command line of a machine whose shell reads commands from standard input. Pure."""
    return [
        str(vng),
        *_common(machine),
        *_append(*machine.options),
        f"--exec={_prepare(machine)}; exec bash",
        *_qemu_options(machine),
    ]


def command_argv(vng: Path, machine: Machine, script: Path, status: Path) -> list[str]:
    """The command line of a machine that runs one script. Pure.

    Its exit status goes to the file `status`: vng's own could be anybody's.
    """
    words = f"sh {shlex.quote(str(script))} </dev/null; echo $? >{shlex.quote(str(status))}"
    return [
        str(vng),
        *_common(machine),
        *_append(*machine.options),
        f"--exec={_prepare(machine)}; {words}",
        *_qemu_options(machine),
    ]


def shell_script(machine: Machine) -> str:
    """The program that `shell_argv` wants for a shell. Pure."""
    return f'#!/bin/sh\n{_prepare(machine)}\nexec bash --norc "$@"\n'


def find_vng() -> Path:
    """The vng of our own environment. Raises InfraError when it or QEMU is missing."""
    vng = Path(sys.executable).parent / "vng"
    if not vng.exists():
        raise InfraError(f"{vng} is missing: remove build/venv and run again to reinstall it")
    if proc.which("qemu-system-x86_64") is None:
        raise InfraError(
            "qemu-system-x86_64 is not on PATH: run 'apt-get install qemu-system-x86' as root"
        )
    return vng


def environment(home: Path) -> dict[str, str]:
    """Variables for vng: its siblings on PATH, and a home in which no private settings lie."""
    tools = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{tools}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
    }


Argv = Callable[[Path, Machine, Marker], list[str]]
"""From vng's command, a machine and what it is to print when it is up, to a command line."""


class BootError(InfraError):
    """The machine did not come up."""


class Vm:
    """A running machine. Leaving its context ends it, whatever happened."""

    def __init__(
        self, machine: Machine, deadlines: Deadlines, vng: Path, argv: Argv = script_argv
    ) -> None:
        """Prepare; the machine starts, by the command line `argv`, when the context is entered."""
        self.machine = machine
        self.deadlines = deadlines
        self.notes: list[str] = []
        self.release = ""
        self._started = self._up = self._ended = 0.0
        self._ready = Marker.new()
        self._argv = argv(vng, machine, self._ready)
        self._child: Any = None
        self.channel: Channel

    def __enter__(self) -> Self:
        """Boot. Raises BootError that says how far it came."""
        self.machine.console.touch()
        self._started = time.time()
        self._child = console.spawn(self._argv, environment(self.machine.share), str(ROOT))
        self._child.delaybeforesend = None
        self.channel = Channel(self._child)
        try:
            self._await_ready()
        except BaseException:
            self.end(kill=True)
            raise
        self._up = time.time()
        return self

    def _await_ready(self) -> None:
        start = time.monotonic()
        try:
            self.release = self.channel.wait_for(self._ready, self.deadlines.boot)
        except TimeoutError as error:
            raise BootError(
                f"{self.machine.name} did not boot within {self.deadlines.boot:.0f} s: "
                f"see {self.machine.console}"
            ) from error
        except GuestGoneError as error:
            seconds = time.monotonic() - start
            raise BootError(
                f"{self.machine.name} ended after booting for {seconds:.0f} s"
                f"{_last_words(self._child.before)}: see {self.machine.console}"
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shut down: politely, unless an exception is on its way."""
        self.end(kill=kind is not None)

    @property
    def life(self) -> Life:
        """From when to when it lived; a machine that has not ended yet does so now."""
        ended = self._ended or time.time()
        return Life(self.machine.console.name, self._started, self._up, ended)

    @property
    def alive(self) -> bool:
        """Whether the machine's process still runs."""
        return self._child is not None and bool(self._child.isalive())

    def end(self, *, kill: bool = False) -> None:
        """End the machine and all its processes. May be called twice.

        A shutdown that outlives its deadline is noted in `notes`, and the machine's processes
        are interrupted, terminated and killed, in this order.
        """
        if self._child is None or self._child.closed:
            return
        if not kill and self.alive:
            self._power_off()
        self._escalate()
        self._child.close(force=True)
        self._ended = time.time()

    def leave(self) -> tuple[int, int]:
        """Let the machine outlive us.

        Returns:
            The terminal on which it runs, to be held open by somebody, and its process group.
        """
        child = self._child
        # Otherwise its destructor would hang up.
        child.closed = child.ptyproc.closed = True
        return child.child_fd, child.pid

    def _power_off(self) -> None:
        try:
            self.channel.say("exit 0")
            self.channel.drain(self.deadlines.shutdown)
        except GuestGoneError:
            pass
        except TimeoutError:
            self.notes.append(f"shutdown took longer than {self.deadlines.shutdown:.0f} s")

    def _escalate(self) -> None:
        group = self._child.pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(group, number)
                if self._gone(group, _GRACE):
                    return

    def _gone(self, group: int, timeout: float) -> bool:
        """Whether the whole process group has ended within `timeout` seconds."""
        stop = time.monotonic() + timeout
        while time.monotonic() < stop:
            self._child.isalive()
            if not _group_exists(group):
                return True
            time.sleep(0.02)
        return False


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _last_words(text: str) -> str:
    """The last line that vng or QEMU printed, for a message."""
    said = files.text(text.encode("utf-8", "replace")).splitlines()
    lines = [line.strip() for line in said if line.strip()]
    return f" ({lines[-1]})" if lines else ""


@contextmanager
def booted(machine: Machine, deadlines: Deadlines) -> Iterator[Vm]:
    """A machine for as long as the block runs."""
    with Vm(machine, deadlines, find_vng()) as vm:
        yield vm
