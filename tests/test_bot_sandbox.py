"""What runs in the bot's sandbox gets neither out nor over its limits, and it is said."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot_fakes import unavailable
from harness import proc
from harness.bot import disk, limits, sandbox, watch
from harness.bot.limits import Limits
from harness.bot.sandbox import Bind, Outcome, Sandbox
from harness.errors import BuildError, InfraError

MIB = 1 << 20
FEW = Limits(
    seconds=20, memory=300 * MIB, processes=40, file_size=20 * MIB, temporary=8 * MIB, spare=0
)


needs_sandbox = pytest.mark.skipif(bool(unavailable()), reason=f"no sandbox: {unavailable()}")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with 64 MiB, whose commands run in a folder of it."""
    with disk.mounted(tmp_path, 64 * MIB) as made:
        uid = sandbox.free_user()
        work = made.folder("work", uid)
        yield Sandbox(made, uid, (Bind(work, Path("/w"), writable=True),))
        assert watch.running(uid) == ()
    assert sorted(path.name for path in tmp_path.glob("disk*")) == []


def sh(box: Sandbox, script: str, bounds: Limits = FEW) -> Outcome:
    return box.run(["bash", "-c", script], bounds, log="sh.log", cwd=Path("/w"))


def met(outcome: Outcome) -> list[str]:
    return [each.what for each in outcome.limited]


@needs_sandbox
def test_a_command_works_and_leaves_what_it_made(box: Sandbox) -> None:
    done = sh(box, "echo hello >made; cat made; id -u; pwd")
    assert done.ok
    assert done.output.split() == ["hello", str(box.uid), "/w"]
    assert done.limited == ()
    assert sh(box, "cat made").output == "hello\n"


@needs_sandbox
def test_what_is_too_long_to_be_kept_is_not_taken_for_all(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "OUTPUT", 1000)
    done = sh(box, "seq 1000")
    assert done.ok
    assert done.cut
    assert len(done.output) < 2000
    assert not sh(box, "seq 10").cut
    with pytest.raises(BuildError, match="too much to be read"):
        box.show(["seq", "1000"])


@needs_sandbox
def test_it_sees_nothing_of_ours(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s", encoding="utf-8")
    secret.chmod(0o644)
    os.environ["KRSI_TEST_SECRET"] = "word"
    try:
        done = sh(box, f"ls /; ls -a /root /home; cat {secret} /etc/shadow; env; ls /proc; false")
    finally:
        del os.environ["KRSI_TEST_SECRET"]
    shown = done.output.split()
    assert not {"root", "home", "work", "var", "s"} & set(shown)
    assert "word" not in done.output
    assert sum(word.isdecimal() for word in shown) < 10


@needs_sandbox
def test_it_has_no_power(box: Sandbox) -> None:
    done = sh(box, "grep -E '^(Cap|NoNew)' /proc/self/status; mount -t tmpfs x /tmp; kill -9 1")
    for line in done.output.splitlines():
        if line.startswith("Cap"):
            assert int(line.split()[1], 16) == 0
    assert "NoNewPrivs:\t1" in done.output
    assert sh(box, "echo 1 >/proc/sys/kernel/panic; chroot / true; unshare -n true").ok is False


@needs_sandbox
@pytest.mark.parametrize("target", ["/usr/krsi", "/etc/passwd", "/krsi", "/w/../x", "/w/out/x"])
def test_it_writes_nowhere_else(box: Sandbox, target: str) -> None:
    outside = box.disk.path.parent / "outside"
    outside.mkdir()
    done = sh(box, f"ln -s {outside} out; echo x >{target}")
    assert not done.ok
    assert list(outside.iterdir()) == []
    assert not Path("/usr/krsi").exists()


@needs_sandbox
def test_it_has_no_network(box: Sandbox) -> None:
    done = sh(box, "echo x >/dev/tcp/192.0.2.1/80")
    assert not done.ok
    assert "network" in met(done)
    assert sh(box, "ls /sys/class/net; cat /proc/net/dev | wc -l").output.split()[-1] == "3"


@needs_sandbox
def test_what_runs_for_ever_is_ended_with_all_that_it_has_started(box: Sandbox) -> None:
    script = (
        "(setsid sleep 1000 & setsid nohup sh -c 'trap \"\" TERM INT; sleep 1000' &) ; sleep 1000"
    )
    done = sh(box, script, replace(FEW, seconds=1))
    assert met(done) == ["time"]
    assert done.why == "ended after 1 s"
    assert watch.running(box.uid) == ()


@needs_sandbox
def test_what_is_left_behind_is_ended(box: Sandbox) -> None:
    assert sh(box, "(setsid sleep 1000 &) ; exit 0").ok
    assert watch.running(box.uid) == ()


@needs_sandbox
def test_a_fork_bomb_is_ended(box: Sandbox) -> None:
    done = sh(box, "bomb() { bomb | bomb & }; bomb; sleep 15")
    assert not done.ok
    assert "processes" in met(done)
    assert done.seconds < 15
    assert watch.running(box.uid) == ()


@needs_sandbox
def test_processes_that_take_memory_together_are_ended(box: Sandbox) -> None:
    one = "perl -e '$x = \"a\" x (90 << 20); sleep 15'"
    done = sh(box, f"for i in 1 2 3 4 5 6; do {one} & done; wait; exit 0")
    assert not done.ok
    assert met(done) == ["memory"]
    assert done.seconds < 15


@needs_sandbox
def test_one_process_gets_no_more_than_its_memory(box: Sandbox) -> None:
    done = sh(box, "perl -e '$x = \"a\" x (400 << 20)'")
    assert not done.ok
    assert "memory" in met(done)


def test_the_machine_keeps_some_memory() -> None:
    """What no process holds, as in a file without a name, counts, too."""
    bounds = Limits(seconds=1, spare=100)
    assert watch.exceeded(watch.Load(1, 1), 101, 0, bounds) is None
    found = watch.exceeded(watch.Load(1, 1), 99, 0, bounds)
    assert found is not None
    assert found.what == "memory"


@needs_sandbox
@pytest.mark.parametrize(
    "script",
    [
        "head -c 200M /dev/zero >one; exit 0",
        "for i in $(seq 30); do head -c 10M /dev/zero >$i; done; exit 0",
        "for i in $(seq 200); do head -c 1M /dev/zero; done; exit 0",
    ],
)
def test_a_disk_that_is_filled_is_not_ours(box: Sandbox, script: str) -> None:
    bounds = replace(FEW, file_size=1 << 30)
    done = sh(box, script, bounds)
    assert "disk" in met(done)
    assert not done.ok, "it said that all is well"
    assert box.disk.used <= box.disk.size == 64 * MIB


@needs_sandbox
def test_tmp_is_of_a_fixed_size_and_a_file_is_no_larger_than_may_be(box: Sandbox) -> None:
    for place in ("/tmp/x", "/dev/shm/x", "/w/x"):
        done = sh(box, f"head -c 30M /dev/zero >{place}")
        assert not done.ok
        assert "disk" in met(done)


@needs_sandbox
def test_a_process_that_computes_for_ever_is_ended(box: Sandbox) -> None:
    done = sh(box, "while :; do :; done", replace(FEW, cpu=1))
    assert not done.ok
    assert done.seconds < FEW.seconds


@needs_sandbox
def test_a_terminal_gets_no_orders(box: Sandbox) -> None:
    assert "\x1b" not in sh(box, "printf '\\033[2J'").output


@needs_sandbox
def test_a_command_by_its_path_runs_inside(box: Sandbox, tmp_path: Path) -> None:
    script = box.front_door(Path("/usr/bin/id"), FEW, tmp_path / "id")
    assert proc.run([script, "-u"]).stdout.strip() == str(box.uid)


@needs_sandbox
def test_nothing_is_left_when_we_are_killed(tmp_path: Path) -> None:
    """Not even the disk: it is mounted in a namespace of our own, and its image has no name."""
    program = f"""
import time
from pathlib import Path
from harness.bot import disk, sandbox
from harness.bot.limits import Limits
with disk.mounted(Path({str(tmp_path)!r}), {64 * MIB}) as made:
    uid = sandbox.free_user()
    box = sandbox.Sandbox(made, uid)
    print(uid, flush=True)
    box.run(["sleep", "1000"], Limits(seconds=100), log="x.log")
"""
    words = ["unshare", "--mount", "--propagation", "private", "--", "python3", "-u", "-c", program]
    with proc.spawn(words) as child:
        assert child.stdout is not None
        uid = int(child.stdout.readline())
        deadline = time.monotonic() + 20
        while not watch.running(uid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert watch.running(uid)
        os.kill(child.pid, signal.SIGKILL)
        while watch.running(uid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert watch.running(uid) == ()
    loops = proc.run(["losetup", "--list", "--json"]).stdout
    files = [
        each["back-file"] for each in json.loads(loops or '{"loopdevices": []}')["loopdevices"]
    ]
    assert not any(str(tmp_path) in name for name in files)


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InfraError, match="run this as root"):
        sandbox.require()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets so far")
def test_without_bubblewrap_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "search_path", lambda: str(tmp_path))
    with pytest.raises(InfraError, match="apt-get install bubblewrap"):
        sandbox.require()
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho bwrap: No permissions to make a namespace >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox, "search_path", lambda: f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InfraError, match=r"No permissions.*--privileged"):
        sandbox.require()


def test_what_a_command_says_of_its_walls_is_heard() -> None:
    said = (
        "a\nbash: fork: retry: Resource temporarily unavailable\ncurl: Could not resolve host: x\n"
    )
    assert {each.what for each in limits.of_output(said)} == {"processes", "network"}
    assert limits.of_output("error: expected ';'") == ()
    assert limits.of_output("fork: " * 500_000) == (), "in no time"
