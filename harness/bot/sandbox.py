"""Where the code of a stranger runs: bubblewrap, with a user, a disk and limits of its own.

It sees /usr, what it is given, and nothing else: no home, no network, no process but its own. It is
a user whom nobody else is, without any capability. It writes to its disk and to a /tmp of fixed
size. When the command ends, all that it has started ends.

Nobody outside opens what was written in there: its contents are asked for with a command that runs
inside, too (`Sandbox.show`), since a link may lead anywhere.
"""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import proc
from harness.bot import watch
from harness.bot.disk import Disk
from harness.bot.limits import Limited, Limits, of_output
from harness.errors import BuildError, InfraError
from harness.packages import search_path
from harness.verdicts import files

#: Users whom no machine gives to anybody for long: those of systemd's DynamicUser=.
_FIRST_USER, _USERS = 61184, 4000
#: How much of a command's output is read, in bytes.
OUTPUT = 4 << 20
#: How long after its deadline a command is ended whose end nobody has seen, in seconds.
_LATE = 30.0
#: For commands that only look.
_SHOWING = Limits(seconds=300)
_ROOT = ("bin", "sbin", "lib", "lib32", "lib64")
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "magic")
#: setpriv, which runs inside, gives these up.
_BORROWED = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_SHARED = (
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
)


@dataclass(frozen=True)
class Bind:
    """A folder or file of ours that can be seen inside.

    Attributes:
        source: where it lies.
        target: where it is seen; the same place when None.
        writable: it can be changed.
        device: it is a device.
    """

    source: Path
    target: Path | None = None
    writable: bool = False
    device: bool = False

    @property
    def words(self) -> tuple[str, str, str]:
        """As bubblewrap wants it."""
        kind = "--dev-bind" if self.device else "--bind" if self.writable else "--ro-bind"
        return kind, str(self.source), str(self.target or self.source)


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
        ok: it ended well, and within its limits.
        why: how it ended, if it did not.
        output: what it printed, cut in the middle where it is too much.
        cut: it was.
        limited: the limits that it met.
        seconds: how long it took.
        peak: the most that it took at a time.
        log: where the output lies.
    """

    ok: bool
    why: str
    output: str
    limited: tuple[Limited, ...]
    seconds: float
    peak: watch.Load = field(default=watch.Load(0, 0))
    log: Path | None = None
    cut: bool = False


def require() -> None:
    """See that there can be a sandbox.

    Raises:
        InfraError: there cannot; nothing is run without one.
    """
    if os.geteuid() != 0:
        raise InfraError(
            "a stranger's series is run in a sandbox, whose user, disk and limits only root can "
            "make: run this as root, or in a container in which you are root."
        )
    if proc.which("bwrap", search_path()) is None:
        raise InfraError("bwrap: no such command; apt-get install bubblewrap.")
    tried = argv(["true"], uid=_FIRST_USER, limits=Limits(seconds=10), binds=(), environment={})
    done = proc.run(tried, env={"PATH": search_path()}, timeout=30, check=None)
    if not done.ok:
        raise refused("a sandbox", done.why)


def refused(what: str, why: str) -> InfraError:
    """The error of somebody who is root and may not make `what` is made here."""
    return InfraError(
        f"{what} cannot be made here ({why}): in a container, allow namespaces "
        "(--privileged, or --cap-add SYS_ADMIN with seccomp and AppArmor unconfined)."
    )


def argv(
    command: Sequence[str | Path],
    *,
    uid: int,
    limits: Limits,
    binds: Sequence[Bind],
    environment: Mapping[str, str],
    cwd: Path = Path("/"),
    groups: Sequence[int] = (),
) -> list[str]:
    """The command line that runs `command` in there. Pure, but for where / has its links."""
    shown = (word for bind in (*_system(), *binds) for word in bind.words)
    variables = {"PATH": search_path(), "HOME": "/tmp", "LC_ALL": "C", **environment}  # noqa: S108 - its own
    return [
        "bwrap",
        *_SHARED,
        *("--die-with-parent", "--hostname", "sandbox", "--clearenv"),
        *(word for item in variables.items() for word in ("--setenv", *item)),
        *("--cap-drop", "ALL"),
        *(word for name in _BORROWED for word in ("--cap-add", name)),
        *_links(),
        *("--proc", "/proc", "--dev", "/dev"),
        *(
            word
            for place in ("/tmp", "/dev/shm")  # noqa: S108 - its own
            for word in ("--perms", "1777", "--size", str(limits.temporary), "--tmpfs", place)
        ),
        *_parents((*_system(), *binds)),
        *shown,
        *("--chdir", str(cwd)),
        *("--", "prlimit", "--core=0", f"--nproc={limits.processes}"),
        f"--cpu={limits.cpu}:{limits.cpu + 10}",
        *(f"--as={limits.memory}", f"--fsize={limits.file_size}", "--nofile=4096"),
        *("--", "setpriv", f"--reuid={uid}", f"--regid={uid}"),
        f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups",
        *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
        *("--", *map(str, command)),
    ]


def _system() -> Iterator[Bind]:
    yield Bind(Path("/usr"))
    for name in _ROOT:
        place = Path("/", name)
        if place.is_dir() and not place.is_symlink():
            yield Bind(place)
    yield from (Bind(Path("/etc", name)) for name in _ETC if Path("/etc", name).exists())


def _links() -> Iterator[str]:
    for name in _ROOT:
        place = Path("/", name)
        if place.is_symlink():
            yield from ("--symlink", str(place.readlink()), str(place))


def _parents(binds: Sequence[Bind]) -> Iterator[str]:
    """The folders that lead to what is shown; bubblewrap itself makes them for root alone."""
    above = {parent for bind in binds for parent in Path(bind.words[2]).parents}
    for place in sorted(above - {Path("/")}):
        yield from ("--perms", "0755", "--dir", str(place))


def free_user() -> int:
    """A user who runs nothing."""
    start = os.getpid()
    for offset in range(_USERS):
        uid = _FIRST_USER + (start + offset) % _USERS
        if not watch.users(uid):
            return uid
    raise InfraError("every user that a sandbox could have is taken.")


@dataclass(frozen=True)
class Sandbox:
    """A sandbox and its disk.

    Attributes:
        disk: what it can write to.
        uid: its user.
        binds: what every command sees.
        environment: variables that every command sees.
    """

    disk: Disk
    uid: int
    binds: tuple[Bind, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(
        self,
        command: Sequence[str | Path],
        limits: Limits,
        *,
        binds: Sequence[Bind] = (),
        cwd: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
        groups: Sequence[int] = (),
    ) -> list[str]:
        """The command line of a command in here."""
        return argv(
            command,
            uid=self.uid,
            limits=limits,
            binds=(*self.binds, *binds),
            environment={**self.environment, **(environment or {})},
            cwd=cwd,
            groups=groups,
        )

    def run(
        self,
        command: Sequence[str | Path],
        limits: Limits,
        *,
        log: str,
        binds: Sequence[Bind] = (),
        cwd: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Outcome:
        """Run a command to its end, or to the end of what it may take.

        Args:
            command: what to run.
            limits: what it may take.
            log: the name under which its output is kept, on the disk, where it cannot be seen
                from inside; it is appended to.
            binds: what can be seen besides.
            cwd: where it runs.
            environment: variables besides.
            stdin: what it reads.
            tick: called now and then, for progress.
        """
        place = self.disk.path / "log" / log
        before = max(files.size(place), 0)
        words = self.argv(command, limits, binds=binds, cwd=cwd, environment=environment)
        with watch.watching(self.uid, limits, self.disk) as seen:
            done = proc.run(
                words,
                env={"PATH": search_path()},
                timeout=limits.seconds + _LATE,
                log=place,
                stdin=stdin,
                tick=tick,
                check=None,
            )
        part = files.read(place, OUTPUT, before)
        output = files.text(part.data)
        limited = list(seen.limited)
        if done.timed_out and not limited:
            limited.append(Limited("time", f"ended after {done.seconds:.0f} s"))
        if not done.ok:
            known = {each.what for each in limited}
            limited += [each for each in of_output(output) if each.what not in known]
        ended = limited[0].how if seen.limited or done.timed_out else done.why
        return Outcome(
            ok=done.ok and not seen.limited,
            why="" if done.ok and not seen.limited else ended,
            output=output,
            limited=tuple(limited),
            seconds=done.seconds,
            peak=seen.peak,
            log=place,
            cut=part.left_out > 0,
        )

    def show(
        self, command: Sequence[str | Path], *, cwd: Path = Path("/"), binds: Sequence[Bind] = ()
    ) -> str:
        """What a command in here prints.

        Raises:
            BuildError: it failed, or prints more than is read.
        """
        done = self.run(command, _SHOWING, log="show.log", cwd=cwd, binds=binds)
        if not done.ok:
            raise BuildError(f"`{shlex.join(map(str, command[:4]))}` {done.why}")
        if done.cut:
            raise BuildError(f"`{shlex.join(map(str, command[:4]))}` printed too much to be read")
        return done.output

    def front_door(
        self,
        command: Path,
        limits: Limits,
        script: Path,
        *,
        binds: Sequence[Bind] = (),
        environment: Mapping[str, str] | None = None,
        groups: Sequence[int] = (),
    ) -> Path:
        """Make `script` a program that does what `command` does, but in here."""
        words = self.argv([command], limits, binds=binds, environment=environment, groups=groups)
        script.write_text(
            "#!/bin/sh\n"
            "# vng opens the terminal that it was started on once more, which only its owner can.\n"
            f"if [ -t 0 ]; then chown {self.uid} /proc/self/fd/0; fi\n"
            f'exec {shlex.join(words)} "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        return script
