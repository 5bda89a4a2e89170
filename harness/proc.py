"""Children: the only module of the project that calls subprocess.

Every child leads a process group of its own. Whoever started it ends the whole group:
on a deadline, on Ctrl-C and on any other exception, by interrupt, then terminate, then kill.
No shell is ever involved. Times are in seconds.
"""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from harness.errors import InfraError, KrsiError

Arg = str | Path

#: How long a group may take to obey a signal before the next, harder one.
GRACE = 2.0
_ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_UNWINDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK = 0.2


@dataclass(frozen=True)
class Result:
    """What became of a child.

    Attributes:
        argv: the command, as started.
        returncode: its exit status; negative is the signal that ended it.
        stdout: what it printed; empty when it went to a log.
        stderr: what it complained; empty when it went to a log.
        seconds: wall time from start to end.
        timed_out: the deadline passed and the group was ended by us.
        log: where the output went instead, if it did.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    log: Path | None = None

    @property
    def ok(self) -> bool:
        """It ended by itself, with status 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def why(self) -> str:
        """How it ended, in a few words: the verdict and the last line of its complaint."""
        if self.timed_out:
            how = f"did not end within {self.seconds:.0f} s"
        elif self.returncode < 0:
            how = f"was ended by {signal.Signals(-self.returncode).name}"
        else:
            how = f"failed with status {self.returncode}"
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return f"{how}: {lines[-1].strip()}" if lines else how


def run(
    argv: Sequence[Arg],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    stdin: str | None = None,
    tick: Callable[[], None] | None = None,
    check: type[KrsiError] | None = InfraError,
) -> Result:
    """Run a command to its end and say how it went.

    Args:
        argv: the command; the first word is looked up on the PATH of `env`.
        cwd: where it runs.
        env: variables on top of our own; an empty value is a value.
        timeout: seconds until the whole group is ended.
        log: stdout and stderr are appended to this file instead of being returned.
        stdin: what it reads; nothing when None.
        tick: called about five times a second while it runs, for progress.
        check: the error to raise unless it ended well; None hands back any result.

    Raises:
        InfraError: the command does not exist or cannot be started.
        KrsiError: of the class `check`: the command failed or overran its deadline.
    """
    words = tuple(str(word) for word in argv)
    started = time.monotonic()
    timed_out = False
    with _output(log) as sink:
        with holding() as held:
            child = _popen(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT if sink else subprocess.PIPE,
            )
        try:
            _deliver(held)
            out, err, timed_out = _communicate(child, stdin, timeout, tick)
        except BaseException:
            stop(child)
            raise
    result = Result(
        argv=words,
        returncode=child.returncode,
        stdout=out,
        stderr=err,
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        log=log,
    )
    if check is not None and not result.ok:
        where = f" (log: {log})" if log else ""
        raise check(f"`{' '.join(words[:4])}{' …' if len(words) > 4 else ''}` {result.why}{where}")
    return result


def _communicate(
    child: subprocess.Popen[str],
    stdin: str | None,
    timeout: float | None,
    tick: Callable[[], None] | None,
) -> tuple[str, str, bool]:
    """Feed and drain the child: its output, its complaints, and whether it overran."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _TICK if tick else None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        wait = pause if left is None else left if pause is None else min(left, pause)
        try:
            out, err = child.communicate(stdin, timeout=wait)
        except subprocess.TimeoutExpired:
            if tick:
                tick()
            if deadline is not None and time.monotonic() >= deadline:
                stop(child)
                out, err = child.communicate()
                return out or "", err or "", True
        else:
            return out or "", err or "", False


@contextmanager
def spawn(
    argv: Sequence[Arg],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """Start a long-lived child; its whole group is gone when the block is left.

    Output is appended to `log`, or returned through the pipe `child.stdout`
    (stderr joined to it) when `log` is None.

    Raises:
        InfraError: the command does not exist or cannot be started.
    """
    words = tuple(str(word) for word in argv)
    with _output(log) as sink:
        with holding() as held:
            child = _popen(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        try:
            _deliver(held)
            yield child
        finally:
            stop(child)
            if child.stdout:
                child.stdout.close()


def interact(
    argv: Sequence[Arg], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Hand the terminal to a child and return its exit status; Ctrl-C is the child's."""
    words = tuple(str(word) for word in argv)
    before = signal.signal(signal.SIGINT, _nothing)
    try:
        child = subprocess.Popen(words, cwd=cwd, env=_environment(env))  # noqa: S603 - no shell
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    except FileNotFoundError as error:
        raise InfraError(f"{words[0]}: no such command.") from error
    finally:
        signal.signal(signal.SIGINT, before)


def stop(child: "subprocess.Popen[str]", grace: float = GRACE) -> None:
    """End the child's whole process group: interrupt, terminate, kill.

    Each signal is given `grace` seconds. The last one always goes out, since the
    leader's end says nothing about the rest of its group.
    """
    with holding():
        for number in _ESCALATION:
            if child.poll() is not None:
                break
            _signal_group(child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(grace)
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def release(argv: Sequence[Arg], *, cwd: Path, keep: int) -> int:
    """Start a process that outlives us and holds our file `keep`; returns its number."""
    child = subprocess.Popen(  # noqa: S603 - no shell, argv is ours
        tuple(map(str, argv)),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(keep,),
        start_new_session=True,
    )
    return child.pid


def end_group(group: int) -> None:
    """End the process group of a stranger: interrupt, terminate, kill."""
    for number in _ESCALATION:
        _signal_group(group, number)
        stop_at = time.monotonic() + GRACE
        while time.monotonic() < stop_at:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(_TICK / 4)


def end_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C, so that no child outlives us."""

    def unwind(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)


def ignore_signals() -> None:
    """Let nothing more unwind: all is done, and the exit status shall be what it has become."""
    for number in _UNWINDING:
        signal.signal(number, signal.SIG_IGN)


def which(name: str, path: str | None = None) -> Path | None:
    """The command's place on the PATH, or None."""
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _nothing(number: int, frame: FrameType | None) -> None:
    """Take a signal and do nothing; unlike SIG_IGN, a child does not inherit it."""
    del number, frame


@contextmanager
def holding() -> Iterator[list[int]]:
    """Keep the signals that unwind for later; yields those that came.

    Around the start of a child, which would be lost if we unwound before we knew it; and around
    its end and a report, which an impatient second Ctrl-C must not cut short.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return

    def hold(number: int, frame: FrameType | None) -> None:
        del frame
        held.append(number)

    before = {number: signal.signal(number, hold) for number in _UNWINDING}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deliver(held: Sequence[int]) -> None:
    """Let a signal that was held take its course."""
    for number in held[:1]:
        signal.raise_signal(number)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}


@contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    """The open log, its folder made; None when there is none."""
    if log is None:
        yield None
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        yield sink


def _popen(
    words: tuple[str, ...],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int,
) -> "subprocess.Popen[str]":
    """Start the child as the leader of a session of its own."""
    try:
        return subprocess.Popen(  # noqa: S603 - no shell, argv is ours
            words,
            cwd=cwd,
            env=_environment(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise InfraError(f"{cwd}: no such folder to run {words[0]} in.") from error
        raise InfraError(f"{words[0]}: no such command.") from error
    except PermissionError as error:
        raise InfraError(f"{words[0]}: cannot be executed.") from error
