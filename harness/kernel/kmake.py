"""make, as the kernel wants to be called: one output folder, its configuration, its complaints.

Shared by the variants (build.py) and the build matrix (matrix.py), which decide what to make.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import packages, proc
from harness.errors import BuildError, InfraError
from harness.kernel import kconfig

TIMEOUT = 7200.0
_ERROR_LINES = re.compile(r"(\berror: |undefined reference|FAILED|No rule to make)")
_MAKE_ERROR = re.compile(r": \*\*\* ")
_NO_SPACE = re.compile(r"No space left on device")
_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class Kernel:
    """A kernel that is made from `src` in `out`.

    Attributes:
        name: what to call it, in messages and in the kernel's release.
        src: the sources.
        out: the output folder (make O=), two levels below build/.
        compiler: the C compiler's command.
        words: what make is told besides, ARCH=arm64 for one.
    """

    name: str
    src: Path
    out: Path
    compiler: str = "gcc"
    words: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        """The .config."""
        return self.out / ".config"

    def command(self, *targets: str) -> list[str]:
        """The make command.

        Neither the log nor the object files depend on where the project lies, so that
        ccache serves every checkout and every variant, and a build can be repeated bit by bit.
        """
        src, out = self.src, self.out
        relative = os.path.relpath(src, out)
        maps = f"-ffile-prefix-map={src}/= -ffile-prefix-map={relative}/= -ffile-prefix-map={out}=."
        return [
            *("make", "-C", str(src), f"O={out}", f"-j{jobs()}"),
            *self.words,
            f"CC={ccache()}{self.compiler}",
            f"HOSTCC={ccache()}gcc",
            f"KCFLAGS={maps}",
            f"LOCALVERSION=-{self.name}",
            *targets,
        ]

    def make(
        self, what: str, log: Path, *targets: str, tick: Callable[[], None] | None = None
    ) -> None:
        """Make targets.

        Raises:
            BuildError: a source file was refused.
            InfraError: the disk is full.
        """
        folder = self.out.parent.parent
        make(f"{what} of {self.name}", self.command(*targets), log, build=folder, tick=tick)

    def configure(self, wanted: kconfig.Config, log: Path) -> dict[str, str]:
        """Write the .config: tinyconfig, our options on top, settled by olddefconfig.

        A configuration that comes out as it was keeps its time: nothing is built again for it.

        Returns:
            What came out.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        before = self.config.read_bytes() if self.config.exists() else None
        stat = self.config.stat() if before is not None else None
        self.make("configuration", log, "tinyconfig")
        tiny = kconfig.read(self.config)
        text = kconfig.render(kconfig.merge([tiny, wanted]))
        self.config.write_text(text, encoding="utf-8")
        self.make("configuration", log, "olddefconfig")
        if stat is not None and self.config.read_bytes() == before:
            os.utime(self.config, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return kconfig.read(self.config)


class Stamps:
    """What each phase of a build was last made from, in a file.

    Args:
        path: the file.

    Raises:
        InfraError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = load(path)

    def holds(self, phase: str, key: str) -> bool:
        """Whether `phase` was made from what `key` stands for."""
        return self._done.get(phase) == key

    def drop(self, phase: str) -> None:
        """Forget a phase, before it begins."""
        self._done.pop(phase, None)
        save(self._path, self._done)

    def put(self, phase: str, key: str) -> None:
        """Remember a phase, when it has ended well."""
        self._done[phase] = key
        save(self._path, self._done)


def make(
    what: str,
    command: Sequence[str],
    log: Path,
    *,
    build: Path,
    tick: Callable[[], None] | None = None,
) -> None:
    """Run one make; when it fails, say why in one sentence.

    Args:
        what: what is made, for the sentence.
        command: make and its words.
        log: gets what it prints.
        build: the folder that holds sources and results.
        tick: called every now and then, for progress.

    Raises:
        BuildError: a source file was refused.
        InfraError: the disk is full.
    """
    done = proc.run(
        command, env=environment(build), log=log, timeout=TIMEOUT, tick=tick, check=None
    )
    if done.ok:
        return
    text = log.read_text(encoding="utf-8", errors="replace")
    if _NO_SPACE.search(text):
        raise InfraError(f"the disk is full: the {what} ({log}).")
    errors = first_errors(text) or (done.why,)
    raise BuildError(f"the {what} did not build (log: {log}):\n  " + "\n  ".join(errors))


def first_errors(log: str, count: int = _SHOWN_ERRORS) -> tuple[str, ...]:
    """The first lines of a build log that look like an error; make's own when there are none."""
    lines = [line.strip() for line in log.splitlines()]
    for pattern in (_ERROR_LINES, _MAKE_ERROR):
        found = tuple(dict.fromkeys(line for line in lines if pattern.search(line)))
        if found:
            return found[:count]
    return ()


def environment(build: Path) -> dict[str, str]:
    """The variables that make a build repeatable, and ccache independent of folders."""
    return {
        "PATH": packages.search_path(),
        "LC_ALL": "C",
        "KBUILD_BUILD_TIMESTAMP": "2024-11-17 22:15:08 +0000",
        "KBUILD_BUILD_USER": "krsi",
        "KBUILD_BUILD_HOST": "localhost",
        "KBUILD_BUILD_VERSION": "1",
        "CCACHE_BASEDIR": str(build),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_COMPILERCHECK": "content",
    }


def version(tool: str) -> str:
    """The first line that a compiler or the like says of its version.

    Raises:
        InfraError: there is no such command on our children's PATH.
    """
    path = packages.search_path()
    found = proc.which(tool, path)
    if found is None:
        raise InfraError(f"{tool}: no such command.")
    printed = proc.run([found, "--version"], env={"PATH": path, "LC_ALL": "C"}, timeout=30).stdout
    return printed.splitlines()[0].strip() if printed else ""


def jobs() -> int:
    """For -j: one more than the processors we may use, as now and then one waits."""
    return len(os.sched_getaffinity(0)) + 1


def ccache() -> str:
    """What to put before a compiler's command."""
    return "ccache " if proc.which("ccache", packages.search_path()) else ""


def fresh(log: Path) -> Path:
    """An empty log, its folder made."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    return log


def load(path: Path) -> dict[str, object]:
    """A JSON object from a file; empty when there is none.

    Raises:
        InfraError: the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        loaded = None
    if not isinstance(loaded, dict):
        raise InfraError(f"{path} is damaged: delete it.")
    return loaded


def save(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object to a file."""
    replace(path, (json.dumps(content, indent=2) + "\n").encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)
