"""What the project needs from the machine, which Debian package has it, and getting it.

A need is met when its command or file is there, whoever put it there; packages are asked for
only by Debian's apt-get, and only for what is missing.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.trees import source

Say = Callable[[str], None]

#: Where Debian puts the LLVM that compiles BPF programs; first on our children's PATH.
LLVM = Path("/usr/lib/llvm-19/bin")
_APT = ("apt-get", "install", "-y", "--no-install-recommends")
_APT_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Need:
    """One thing the machine must have.

    Attributes:
        package: the Debian package that brings it.
        command: a command to be found on the PATH; or
        file: a file to be found.
    """

    package: str
    command: str | None = None
    file: Path | None = None

    def met(self, path: str | None = None) -> bool:
        """Whether it is there; `path` replaces the PATH."""
        if self.command is not None and proc.which(self.command, path) is None:
            return False
        return self.file is None or self.file.exists()


#: For `make check`: the base and the patches.
CHECK = (
    Need("git", command="git"),
    Need("xz-utils", command="xz"),
    Need("perl", command="perl"),
)
BASE = (Need(source.PACKAGE, file=source.TARBALL),)
#: For `make kernel`: the compilers, and what the kernel's and the tools' build files call.
KERNEL = (
    *CHECK,
    Need("gcc", command="gcc"),
    Need("libc6-dev", file=Path("/usr/include/stdio.h")),
    Need("make", command="make"),
    Need("bc", command="bc"),
    Need("bison", command="bison"),
    Need("flex", command="flex"),
    Need("cpio", command="cpio"),
    Need("rsync", command="rsync"),
    Need("dwarves", command="pahole"),
    Need("libelf-dev", file=Path("/usr/include/libelf.h")),
    Need("libssl-dev", file=Path("/usr/include/openssl/ssl.h")),
    Need("zlib1g-dev", file=Path("/usr/include/zlib.h")),
    Need("libcap-dev", file=Path("/usr/include/sys/capability.h")),
    Need("clang-19", command="clang", file=LLVM / "clang"),
    Need("llvm-19", file=LLVM / "llvm-strip"),
    Need("ccache", command="ccache"),
)
#: For ./run_tests.py, got by `make kernel`, too: the machine that boots the kernel.
VM = (
    Need("qemu-system-x86", command="qemu-system-x86_64"),
    Need("busybox-static", command="busybox"),
    Need("kmod", command="modprobe"),
    Need("iproute2", command="ip"),
    # In the guest, it makes the ports over which vng runs a script.
    Need("udev", command="udevadm"),
)
#: For `make submit`, besides.
SUBMIT = (
    Need("git-email", file=Path("/usr/lib/git-core/git-send-email")),
    Need("libmailtools-perl", file=Path("/usr/share/perl5/Mail/Address.pm")),
)
#: For ./run_tests.py --gdb.
DEBUGGER = (Need("gdb", command="gdb"),)
#: For `make static`, besides. smatch is in no Debian.
STATIC = (
    Need("coccinelle", command="spatch"),
    Need("python3-sphinx", command="sphinx-build"),
    Need("python3-yaml", file=Path("/usr/lib/python3/dist-packages/yaml/__init__.py")),
)
#: For the tests that look at report.html as a person does.
BROWSER = (
    Need("chromium", command="chromium"),
    Need("chromium-driver", command="chromedriver"),
)
#: For the suite `upstream`, besides: what the kernel's own selftests call in the guest.
SUITE = (
    Need("e2fsprogs", command="mkfs.ext4"),
    Need("fsverity", command="fsverity"),
    Need("keyutils", command="keyctl"),
    Need("openssl", command="openssl"),
    Need("mount", command="losetup"),
)
#: For `./run_tests.py --mbox`, besides: the sandbox, and its disk.
BOT = (
    Need("bubblewrap", command="bwrap"),
    Need("e2fsprogs", command="mkfs.ext4"),
    Need("mount", command="mount"),
    Need("util-linux", command="setpriv"),
    Need("binutils", command="objcopy"),
)
#: For `./run_tests.py --suite clients`: what is compiled needs these two …
CLIENT_PARTS = (
    Need("bpftool", file=Path("/usr/sbin/bpftool")),
    Need("libbpf-dev", file=Path("/usr/include/bpf/libbpf.h")),
)
#: … and the clients are these. The guest sees them with the host's root.
CLIENTS = (
    *CLIENT_PARTS,
    Need("python3-bpfcc", file=Path("/usr/lib/python3/dist-packages/bcc/__init__.py")),
    Need("apparmor", file=Path("/sbin/apparmor_parser")),
    Need("mmdebstrap", command="mmdebstrap"),
)


def search_path() -> str:
    """The PATH for our children: LLVM's folder first, the administrator's commands last."""
    own = os.environ.get("PATH", os.defpath)
    return f"{LLVM}:{own}:/usr/sbin:/sbin"


def lacking(needs: Sequence[Need]) -> tuple[str, ...]:
    """The packages that would meet what is not met, each once."""
    path = search_path()
    return tuple(dict.fromkeys(need.package for need in needs if not need.met(path)))


def ensure(needs: Sequence[Need], say: Say) -> None:
    """Install what is missing as root on Debian; otherwise name the exact command.

    Raises:
        InfraError: something is missing and cannot be installed from here.
    """
    missing = lacking(needs)
    if not missing:
        return
    command = [*_APT, *missing]
    if proc.which("apt-get") is None:
        raise InfraError(f"missing: {', '.join(missing)} (Debian's names); install them.")
    if os.geteuid() != 0:
        raise InfraError(f"packages are missing; run: sudo {' '.join(command)}")
    say(f"installing {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    first = proc.run(command, env=quiet, timeout=_APT_TIMEOUT, check=None)
    if not first.ok:
        # A fresh machine has no package lists, an old one has stale ones.
        proc.run(["apt-get", "update"], env=quiet, timeout=_APT_TIMEOUT)
        proc.run(command, env=quiet, timeout=_APT_TIMEOUT)
    still = lacking(needs)
    if still:
        raise InfraError(f"installed, but still not found: {', '.join(still)}.")
