"""The command channel, over a local shell on a pseudo terminal that echoes."""

import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from harness.errors import InfraError
from harness.machine import console
from harness.machine.console import Channel, GuestGoneError, Marker


@pytest.fixture
def child() -> Iterator[Any]:
    """A shell like the guest's, on a terminal that echoes what is typed."""
    words = ["--norc", "--noprofile", "-s"]
    how = {"encoding": "utf-8", "codec_errors": "replace", "echo": True}
    shell = pexpect.spawn("bash", words, **how)
    shell.delaybeforesend = None
    yield shell
    shell.close(force=True)


@pytest.fixture
def channel(child: Any) -> Channel:
    return Channel(child)


def test_output_and_status(channel: Channel) -> None:
    assert channel.run("echo one; echo two >&2; false", 10).status == 1
    result = channel.run("printf 'no line feed'", 10)
    assert (result.output, result.status) == ("no line feed", 0)
    assert channel.run("(exit 42)", 10) == console.CommandResult("", 42)


def test_a_command_cannot_eat_the_next(channel: Channel) -> None:
    assert channel.run("cat", 10).output == ""
    assert channel.run("echo still here", 10).output == "still here\n"


def test_the_echo_never_matches() -> None:
    marker = Marker.new()
    for text in (
        marker.command("x"),
        console.foreground("true", marker),
        console.background("true", "/dev/null", marker),
    ):
        assert marker.word not in text
    assert Marker.new() != marker


def test_a_command_that_takes_too_long(channel: Channel) -> None:
    with pytest.raises(TimeoutError):
        channel.run("sleep 10", 0.2)


def test_background_leaves_the_shell_free(channel: Channel, tmp_path: Path) -> None:
    out = tmp_path / "with space"
    job = channel.start("sleep 0.5; echo 'it''s done'; (exit 7)", str(out))
    assert channel.poll(job, 0) is None
    assert channel.run("echo meanwhile", 10).output == "meanwhile\n"
    assert channel.poll(job, 10) == 7
    assert out.read_text() == "its done\n"


def test_others_may_write_to_the_channel(channel: Channel) -> None:
    """Bytes that are no text, and more of them than we care to keep."""
    noise = "head -c 1000000 /dev/urandom | tr -d '\\003\\004\\032\\034'"
    job = channel.start(f"({noise}) >/dev/tty; (exit 7)", "/dev/null")
    status = None
    while status is None:
        status = channel.poll(job, 0.05)
    assert status == 7
    assert channel.run("echo still here", 10).output == "still here\n"


def test_what_is_kept_of_noise_is_little(channel: Channel, child: Any) -> None:
    job = channel.start("yes | head -c 2000000 >/dev/tty; sleep 60", "/dev/null")
    for _ in range(10):
        assert channel.poll(job, 0.1) is None
    with pytest.raises(pexpect.TIMEOUT):
        child.expect("never", timeout=0)
    assert len(child.before) <= 65536


def test_the_end_of_the_other_side(channel: Channel, child: Any) -> None:
    # Nothing is started: it would outlive this shell, which has job control, and hold the terminal.
    child.kill(signal.SIGKILL)
    with pytest.raises(GuestGoneError):
        channel.poll(Marker.new(), 60)


def test_wait_for_returns_the_rest_of_the_line(channel: Channel, child: Any) -> None:
    marker = Marker.new()
    child.sendline(marker.command(shlex.quote("6.12.1 x")))
    assert channel.wait_for(marker, 10) == "6.12.1 x"


def test_drain(channel: Channel, child: Any) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.drain(0.1)
    child.sendline("exit")
    channel.drain(10)
    assert time.monotonic() - start < 5


def test_a_missing_program_is_an_infrastructure_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="no-such-program"):
        console.spawn([str(tmp_path / "no-such-program")], {}, str(tmp_path))
