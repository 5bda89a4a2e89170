"""A systemd that is built with BPF: RestrictFileSystems= denies.

Debian 12's is built without, and so is the one of its backports. Debian 13's is built with it: it
runs as init of its own PID namespace, in a folder that holds it and what it needs.
"""

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import support
from support import eventually, need, our_bpftool, query, run

ROOT = Path("/tmp/krsi_systemd")
UNITS = ROOT / "etc/systemd/system"
SECRET = "/run/krsi/secret"
"""A file on ramfs, which nothing else in there is on."""

_CLONE_NEWNS = 0x20000

MOUNTS = (
    ("devtmpfs", "dev"),
    ("sysfs", "sys"),
    ("securityfs", "sys/kernel/security"),
    ("cgroup2", "sys/fs/cgroup"),
    ("bpf", "sys/fs/bpf"),
    ("tmpfs", "run"),
    ("tmpfs", "tmp"),
)

TARGET = """\
[Unit]
Description=Nothing but what is asked for
DefaultDependencies=no
AllowIsolate=yes
"""

SERVICE = """\
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/usr/bin/cat {secret}
{restriction}
"""


def _make_root() -> None:
    """A root that can be written to, on top of Debian 13's files."""
    lower = need(support.DEBIAN_13, "systemd of Debian 13")
    layers = Path("/tmp/krsi_systemd_layers")
    for folder in (ROOT, layers):
        folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "krsi", layers)
    for name in ("upper", "work"):
        (layers / name).mkdir()
    options = f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work"
    run("mount", "-t", "overlay", "krsi", "-o", options, ROOT)


def _write_units() -> None:
    """The target that systemd boots to, and one service for each restriction."""
    UNITS.mkdir(parents=True, exist_ok=True)
    (UNITS / "krsi.target").write_text(TARGET)
    for name, restriction in (
        ("free", ""),
        ("restricted", "RestrictFileSystems=~ramfs"),
        ("other", "RestrictFileSystems=~fuse"),
    ):
        unit = SERVICE.format(secret=SECRET, restriction=restriction)
        (UNITS / f"{name}.service").write_text(unit)


def _child_of(parent: int) -> str:
    """The process that `unshare` has started."""
    return run("pgrep", "--parent", str(parent)).stdout.strip()


Systemctl = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def _systemd() -> Iterator[Systemctl]:
    """A running systemd, for as long as the block runs. Yields its `systemctl`.

    Mounts go with their namespace.
    """
    assert ctypes.CDLL(None).unshare(_CLONE_NEWNS) == 0
    run("mount", "--make-rprivate", "/")
    _make_root()
    _write_units()
    for kind, where in MOUNTS:
        run("mount", "-t", kind, kind, ROOT / where)
    secret = ROOT / SECRET.lstrip("/")
    secret.parent.mkdir()
    run("mount", "-t", "ramfs", "ramfs", secret.parent)
    secret.write_text("secret\n")
    command = ["unshare", "--fork", "--pid", "--kill-child", f"--mount-proc={ROOT}/proc"]
    init = ["chroot", str(ROOT), "/usr/lib/systemd/systemd", "--system"]
    options = ["--unit=krsi.target", "--log-target=kmsg"]
    environment = {"PATH": "/usr/sbin:/usr/bin", "container": "krsi"}
    with subprocess.Popen([*command, *init, *options], env=environment) as systemd:

        def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
            where = f"--target={_child_of(systemd.pid)}"
            return run("nsenter", where, "-m", "-p", "-r", "systemctl", *words, check=False)

        try:
            assert eventually((ROOT / "run/systemd/private").exists, 60), "no systemd"
            yield systemctl
        finally:
            systemd.kill()


def test_restrict_filesystems() -> None:
    """A service cannot open files of a filesystem that it is restricted from."""
    with _systemd() as systemctl:
        attached = [prog.get("name") for prog in query(our_bpftool(), "prog", "show")]
        assert "restrict_filesy" in attached or "restrict_filesystems" in attached
        assert systemctl("start", "free").returncode == 0
        assert systemctl("start", "other").returncode == 0
        assert systemctl("start", "restricted").returncode != 0
        assert systemctl("show", "-P", "Result", "restricted").stdout == "exit-code\n"
        assert systemctl("start", "free").returncode == 0
