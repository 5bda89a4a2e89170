"""The command channel into the guest: a shell that reads lines and has no terminal.

The channel is not the kernel's console. A command is framed by a random marker which is sent in
two halves and printed as one word, so that no echo of the command can match it.
"""

import secrets
import shlex
from dataclasses import dataclass
from typing import Any

import pexpect

from harness.errors import InfraError

_CHUNK = 65536
# More than a line with a marker has.
_MARGIN = 1024


class GuestGoneError(Exception):
    """The other end has closed: the machine ended while something was expected from it."""


@dataclass(frozen=True)
class CommandResult:
    """What a command in the guest printed (stdout and stderr) and its exit status."""

    output: str
    status: int


@dataclass(frozen=True)
class Marker:
    """A word that no echo can contain: it is sent as two words and printed as one."""

    head: str
    tail: str

    @classmethod
    def new(cls) -> "Marker":
        """A marker that has not been used before."""
        return cls(secrets.token_hex(6), secrets.token_hex(6))

    @property
    def word(self) -> str:
        """What appears on the channel."""
        return self.head + self.tail

    def command(self, text: str) -> str:
        """A shell command that prints the marker and `text` on a line of their own."""
        return f"printf '\\n%s%s %s\\n' {self.head} {self.tail} {text}"


def foreground(command: str, marker: Marker) -> str:
    """One line of shell that runs `command` between two markers."""
    return f"{marker.command('begin')}; {{ {command}\n}} </dev/null 2>&1; {marker.command('$?')}"


def background(command: str, output: str, marker: Marker) -> str:
    """One line of shell that starts `command` and leaves the shell free for others.

    What it prints goes to the file `output`; the marker follows with the exit status. A subshell
    runs it, not a shell of its own: emulation needs a tenth of a second to start a program.
    """
    inner = f"{{ {command}\n}} </dev/null >{shlex.quote(output)} 2>&1"
    return f"{{ {inner}; {marker.command('$?')}; }} &"


class Channel:
    """Commands in, output and exit status out, over anything that pexpect can talk to."""

    def __init__(self, child: "pexpect.spawn[Any]") -> None:
        """Talk over `child`, which was opened with an encoding."""
        self._child = child

    def wait_for(self, marker: Marker, timeout: float) -> str:
        """Wait at most `timeout` seconds for a line that begins with the marker; return its rest.

        Raises:
            TimeoutError: it did not come.
            GuestGoneError: the other end closed.
        """
        self._expect(f"{marker.word} ([^\r\n]*)\r?\n", timeout)
        return str(self._child.match.group(1))

    def run(self, command: str, timeout: float) -> CommandResult:
        """Run a command in the foreground for at most `timeout` seconds.

        Raises:
            TimeoutError: it has not ended; the shell is still busy with it.
            GuestGoneError: the other end closed.
        """
        marker = Marker.new()
        self._send(foreground(command, marker))
        self._expect(f"{marker.word} begin\r?\n", timeout)
        self._expect(rf"\r?\n{marker.word} (\d+)\r?\n", timeout)
        output = self._child.before.replace("\r\n", "\n")
        return CommandResult(output, int(self._child.match.group(1)))

    def start(self, command: str, output: str) -> Marker:
        """Start a command in the background; what it prints goes to the guest's file `output`.

        Raises:
            GuestGoneError: the other end closed.
        """
        marker = Marker.new()
        self._send(background(command, output, marker))
        return marker

    def poll(self, marker: Marker, timeout: float) -> int | None:
        """The exit status of a started command, or None if it runs on after `timeout` seconds.

        Raises:
            GuestGoneError: the other end closed.
        """
        try:
            self._expect(rf"{marker.word} (\d{{1,9}})\r?\n", timeout)
        except TimeoutError:
            self._forget()
            return None
        return int(self._child.match.group(1))

    def say(self, command: str) -> None:
        """Send a command whose result nobody waits for."""
        self._send(command)

    def drain(self, timeout: float) -> str:
        """Read until the other end closes, at most `timeout` seconds; return what came.

        Raises:
            TimeoutError: it did not close.
        """
        try:
            self._child.expect(pexpect.EOF, timeout=timeout)
        except pexpect.TIMEOUT as error:
            raise TimeoutError from error
        return str(self._child.before)

    def _forget(self) -> None:
        """Keep little of what is no answer: others may write to the channel, too, and much."""
        unread = len(self._child.before)
        if unread > _CHUNK:
            self._child.expect(f"(?s).{{{unread - _MARGIN}}}", timeout=0)

    def _send(self, line: str) -> None:
        try:
            self._child.sendline(line)
        except OSError as error:
            raise GuestGoneError from error

    def _expect(self, pattern: str, timeout: float) -> None:
        try:
            self._child.expect(pattern, timeout=timeout)
        except pexpect.TIMEOUT as error:
            raise TimeoutError from error
        except pexpect.EOF as error:
            raise GuestGoneError from error


def spawn(argv: list[str], env: dict[str, str], cwd: str) -> "pexpect.spawn[Any]":
    """Start a program on a terminal of its own, as the leader of its own session.

    Raises InfraError when it cannot be started.
    """
    try:
        return pexpect.spawn(
            argv[0],
            argv[1:],
            env=env,
            cwd=cwd,
            timeout=None,
            encoding="utf-8",
            codec_errors="replace",
            echo=False,
            dimensions=(24, 200),
            maxread=_CHUNK,
        )
    except pexpect.ExceptionPexpect as error:
        raise InfraError(f"cannot start {argv[0]}: {error}") from error
