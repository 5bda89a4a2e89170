"""The sources and the output folder of one kernel inside a sandbox, and what is done to them.

They are copies of what `make kernel` left, seen in the same places, so that only what the series
changes is compiled. ours stays out of reach: it can be read, and so can its ccache, which is not
written to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import packages, proc
from harness.bot.limits import Limited, Limits
from harness.bot.mail import Mail
from harness.bot.manners import Touched, listed
from harness.bot.sandbox import Bind, Outcome, Sandbox
from harness.errors import BuildError, InfraError, UsageError
from harness.kernel import build, complaints, kconfig, kmake
from harness.model import BuildPaths, Variant
from harness.progress import watching
from harness.trees import git, tree
from harness.trees.git import Repo

#: The deadlines of each phase, in seconds, and with them the other limits.
SEED = Limits(seconds=900)
APPLY = Limits(seconds=300)
STYLE = Limits(seconds=300)
CONFIGURE = Limits(seconds=300)
COMPILE = Limits(seconds=3600)
TOOLS = Limits(seconds=1800)

_SELFTESTS = "tools/testing/selftests/bpf/prog_tests/"
_MAIL = Path("/mail")
_ORIGIN = Path("/origin")
_OBJECTS = Path("/objects")
_CHECKPATCH = ("--strict", "--quiet", "--no-summary", "--terse", "--show-types", "--no-signoff")
_IGNORED = "--ignore=UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES"
_MOST_FAULTS = 20
_UNREAD = ("make printed too much to be searched for warnings",)
#: How long the names on one command line may be together; the kernel allows twice as much.
_MOST_NAMES = 1 << 20
#: A configuration that comes out as it was keeps its time: nothing is built again for it.
_KEEP_TIME = 'if cmp -s "$1" "$2"; then touch -r "$2" "$1"; fi'


@dataclass(frozen=True)
class Base:
    """What a series is laid on.

    Attributes:
        variant: the kernel of ours whose configuration, sources and output it shares.
        version: of Linux.
        commit: the base of everything.
        start: the commit that the series goes on top of.
        build: the folder in which `make kernel` left it.
        seen: where that is seen inside: what was built there knows it by this name.
        options: what its configuration must have.
    """

    variant: Variant
    version: str
    commit: str
    start: str
    build: Path
    seen: Path
    options: kconfig.Config = field(default_factory=dict)

    @property
    def sources(self) -> Path:
        """Where the variant's sources are seen inside."""
        return self.seen / ("tree" if self.variant.series == "all" else f"src-{self.variant.name}")

    @property
    def origin(self) -> Path:
        """What is copied: the sources that the variant's output is made from, if they are there."""
        own = self.build / self.sources.name
        return own if own.is_dir() else self.build / "tree"

    @property
    def foreign(self) -> tuple[str, ...]:
        """What lies in the variant's output and was built from other sources than a series is."""
        return () if self.variant.series == "all" else ("bin", "bpftool", "libbpf", "selftests")

    def __str__(self) -> str:
        """One line for people."""
        what = "" if self.start == self.commit else " with KRSI"
        return f"Linux {self.version}{what} ({self.start[:12]})"


def base_of(variant: Variant, folder: Path) -> Base:
    """What a series is laid on, as `make kernel` left it.

    Raises:
        BuildError: it has left nothing.
    """
    sources = Repo(folder / "tree")
    state = tree.load(sources) if sources.exists else None
    image = BuildPaths.of(variant.name, folder).bzimage
    if state is None or not image.exists():
        raise BuildError(
            f"kernel '{variant.name}' is not built ({image} is missing): run 'make kernel "
            f"VARIANT={variant.name}'."
        )
    start = state.applied if variant.series == "all" else state.base
    seen = _built_in(BuildPaths.of(variant.name, folder).kernel) or folder
    return Base(variant, state.version, state.base, start, folder, seen, build.requested(variant))


def _built_in(output: Path) -> Path | None:
    """The build folder as it was called when a kernel was built: objects hold its name."""
    link = output / "source"
    place = link.readlink().parent if link.is_symlink() else None
    return place if place and place.is_absolute() else None


def ccache_folder() -> Path | None:
    """Where our ccache keeps what it knows; None where there is none."""
    if not kmake.ccache():
        return None
    path = {"PATH": packages.search_path()}
    found = proc.run(["ccache", "-k", "cache_dir"], env=path, timeout=30, check=None)
    place = Path(found.stdout.strip())
    return place if found.ok and place.is_absolute() and place.is_dir() else None


@dataclass
class Found:
    """What came of a step.

    Attributes:
        faults: what is wrong.
        limited: the limits that were met.
        log: the name of the log.
    """

    faults: tuple[str, ...] = ()
    limited: tuple[Limited, ...] = ()
    log: str = ""


class Workshop:
    """A copy of the base in a sandbox.

    Args:
        base: what is copied.
        sandbox: where.
    """

    def __init__(self, base: Base, sandbox: Sandbox) -> None:
        self.base = base
        disk = sandbox.disk
        self.paths = BuildPaths.of(base.variant.name, base.seen)
        self.kernel = kmake.Kernel(base.variant.name, base.sources, self.paths.kernel)
        # Not where they lie: that may be in what is seen as the sources.
        objects = Repo(base.build / "tree").git_dir / "objects"
        self._mail = disk.path / "mail"
        self._mail.mkdir()
        cache = ccache_folder()
        self._binds = (
            Bind(disk.folder("tree", sandbox.uid), base.sources, writable=True),
            Bind(disk.folder("out", sandbox.uid), self.paths.root, writable=True),
            Bind(disk.folder("am", sandbox.uid), Path("/am"), writable=True),
            Bind(objects, _OBJECTS),
            Bind(build.RUNNER),
            Bind(self._mail, _MAIL),
            *([Bind(cache)] if cache else []),
        )
        environment = {
            **kmake.environment(base.seen),
            **git.ENVIRONMENT,
            **git.IDENTITY,
            "CCACHE_READONLY": "1",
            "CCACHE_NOSTATS": "1",
            "CCACHE_TEMPDIR": "/tmp/ccache",  # noqa: S108 - the sandbox's own
            **({"CCACHE_DIR": str(cache)} if cache else {"CCACHE_DISABLE": "1"}),
        }
        self.sandbox = Sandbox(disk, sandbox.uid, self._binds, environment)

    @cached_property
    def job(self) -> build.Job:
        """The build, for the command lines of build.py; nothing of it is looked at out here."""
        state = tree.State(self.base.commit, self.base.version, None, "", self.base.start)
        repo = Repo(self.base.sources)
        trees = tree.Trees(state, repo, repo, developed=False)
        return build.Job(
            build.Request(self.base.variant, build=self.base.seen), self.paths, trees, {}
        )

    @property
    def base_image(self) -> Path:
        """The base's own kernel, as `make kernel` left it."""
        return BuildPaths.of(self.base.variant.name, self.base.build).bzimage

    def seed(self) -> None:
        """Copy what `make kernel` left, and let the sources be at the start of the series.

        Raises:
            InfraError: that failed; no code of a stranger has run yet.
        """
        with build.exclusive(self.base.build, "sources.lock"):
            self._copy(self.base.origin, self.base.sources)
        with build.exclusive(self.base.build):
            self._copy(
                self.base.build / self.base.variant.name, self.paths.root, without=self.base.foreign
            )
        self._git("init", "--quiet", check=InfraError)
        alternates = self.base.sources / ".git/objects/info/alternates"
        self._must(["tee", alternates], stdin=f"{_OBJECTS}\n")
        self._git("read-tree", self.base.start, check=InfraError)
        # What lies there as the commit has it keeps its time, and is not compiled again.
        self._run(git.command("update-index", "-q", "--refresh"), SEED, "seed.log")
        self._git("reset", "--quiet", "--hard", self.base.start, check=InfraError)
        self._git("clean", "-fdxq", check=InfraError)
        self._git(
            "worktree", "add", "--quiet", "--force", "--no-checkout", "--detach", "/am", "HEAD"
        )
        self._git("read-tree", "HEAD", cwd=Path("/am"))

    def _copy(self, source: Path, target: Path, *, without: Sequence[str] = ()) -> None:
        if not source.is_dir():
            return
        leave_out = (f"--exclude=/{name}" for name in (".git", *without))
        words = ("rsync", "-a", "--no-owner", "--no-group", *leave_out)
        self._must([*words, f"{_ORIGIN}/", f"{target}/"], binds=(Bind(source, _ORIGIN),))

    def _must(
        self, command: Sequence[str | Path], *, stdin: str | None = None, binds: Sequence[Bind] = ()
    ) -> None:
        done = self.sandbox.run(command, SEED, log="seed.log", stdin=stdin, binds=binds)
        if not done.ok:
            raise InfraError(
                f"the copy of the base: `{command[0]}` {done.why}: {done.output[-500:]}"
            )

    @cached_property
    def top(self) -> frozenset[str]:
        """What the base has at its top."""
        return frozenset(self._git("ls-tree", "--name-only", self.base.start).splitlines())

    def style(self, mail: Mail) -> Found:
        """What the base's checkpatch.pl says; the tree must still be the base's."""
        name = self._leave(mail)
        script = ("perl", "scripts/checkpatch.pl", *_CHECKPATCH, _IGNORED, f"{_MAIL / name}")
        log = f"{self._number(mail):04}-checkpatch.log"
        done = self._run(script, STYLE, log)
        said = [line.replace(f"{_MAIL}/", "") for line in done.output.splitlines() if line.strip()]
        faults = said or ([] if done.ok else [f"checkpatch.pl {done.why}"])
        return Found(tuple(faults), done.limited, log)

    def apply(self, mail: Mail) -> tuple[Found, str, tuple[Touched, ...]]:
        """Lay a patch on what was applied before, beside the tree.

        Returns:
            How it went, the commit, and what it touches.
        """
        name = self._leave(mail)
        before = self._git("rev-parse", "HEAD", cwd=Path("/am")).strip()
        log = f"{self._number(mail):04}-apply.log"
        words = ("am", "--quiet", "--no-3way", "--no-scissors", "--keep-non-patch")
        form = ("--patch-format=mboxrd", "--committer-date-is-author-date", "--no-gpg-sign")
        done = self._run(git.command(*words, *form, _MAIL / name), APPLY, log, cwd=Path("/am"))
        if not done.ok:
            reason = [
                line.removeprefix("error: ").removeprefix("fatal: ")
                for line in done.output.splitlines()
                if line.startswith(("error:", "fatal:"))
            ]
            return Found(tuple(reason[:3]) or (f"git am {done.why}",), done.limited, log), "", ()
        commits = self._git("rev-list", "--reverse", f"{before}..HEAD", cwd=Path("/am")).split()
        if len(commits) != 1:
            return Found((f"one mail became {len(commits)} commits",), done.limited, log), "", ()
        raw = self._git("diff-tree", "-r", "--raw", "--no-renames", "--no-commit-id", commits[0])
        return Found((), done.limited, log), commits[0], listed(raw)

    def author(self, commit: str) -> str:
        """Who wrote a commit, as git has it."""
        return self._git("show", "--no-patch", "--format=%an <%ae>", commit).strip()

    def _leave(self, mail: Mail) -> str:
        """Put a mail where it can be read inside, so that git takes it for a single one."""
        name = f"{self._number(mail):04}.patch"
        # Without its last line break a patch is corrupt.
        text = mail.raw.replace(b"\r\n", b"\n")
        lines = (text if text.endswith(b"\n") else text + b"\n").split(b"\n")
        quoted = [b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines]
        head = b"From " + b"0" * 40 + b" Mon Sep 17 00:00:00 2001\n"
        (self._mail / name).write_bytes(head + b"\n".join(quoted))
        return name

    @staticmethod
    def _number(mail: Mail) -> int:
        return mail.tag.number if mail.tag else 0

    def checkout(self, commit: str) -> None:
        """Let the sources be those of a commit: only what differs is touched.

        Raises:
            BuildError: git refused.
        """
        self._git("checkout", "--quiet", "--force", "--detach", commit)

    def configure(self, log: str) -> Found:
        """Settle the configuration; it must stay as it was asked for."""
        faults: list[str] = []
        limited: list[Limited] = []
        have = self._run(["test", "-f", self.kernel.config], APPLY, log).ok
        if not have:
            faults, limited = self._fresh_configuration(log)
        if not faults:
            kept = self.kernel.config.with_name(".config.kept")
            self._run(["cp", "-p", self.kernel.config, kept], APPLY, log)
            done = self._run(self.kernel.command("olddefconfig"), CONFIGURE, log)
            self._run(["sh", "-c", _KEEP_TIME, "sh", self.kernel.config, kept], APPLY, log)
            limited += done.limited
            if not done.ok:
                faults += self._why(done)
            else:
                faults += self._lost()
        return Found(tuple(faults), tuple(limited), log)

    def _fresh_configuration(self, log: str) -> tuple[list[str], list[Limited]]:
        done = self._run(self.kernel.command("tinyconfig"), CONFIGURE, log)
        if not done.ok:
            return list(self._why(done)), list(done.limited)
        wanted = kconfig.merge([self._configuration(), self.base.options])
        self._run(["tee", self.kernel.config], APPLY, "show.log", stdin=kconfig.render(wanted))
        return [], list(done.limited)

    def _configuration(self) -> kconfig.Config:
        try:
            return kconfig.parse(self.sandbox.show(["cat", self.kernel.config]), ".config")
        except UsageError as error:
            raise BuildError(str(error)) from error

    def _lost(self) -> tuple[str, ...]:
        lost = kconfig.missing(self.base.options, self._configuration())
        return tuple(f"the configuration does not keep {each}" for each in lost)

    def compile(self, what: str, log: str) -> Found:
        """Build the kernel; what compilers and linkers warn of is a fault, too."""
        done = self._make(self.kernel.command("vmlinux", "bzImage"), COMPILE, log, what)
        if not done.ok:
            return Found(self._why(done), done.limited, log)
        said = dict.fromkeys(each.line for each in self._complaints(done.output))
        faults = (*(_UNREAD if done.cut else ()), *said)
        return Found(faults[:_MOST_FAULTS], done.limited, log)

    def objects(self, entries: Sequence[Touched]) -> tuple[str, ...]:
        """The object files of touched sources, as far as the kernel has them."""
        names = [
            name
            for entry in entries
            if not entry.path.startswith((*build.NOT_KERNEL, "tools/"))
            and (name := complaints.object_of(entry.path))
        ]
        if not names:
            return ()
        if sum(map(len, names)) > _MOST_NAMES:
            raise BuildError(f"{len(names)} sources are too many to be compiled by name.")
        script = 'for name; do if [ -f "$name" ]; then echo "$name"; fi; done'
        shown = self.sandbox.show(["sh", "-c", script, "sh", *names], cwd=self.paths.kernel)
        return tuple(line for line in shown.splitlines() if line in names)

    def picky(
        self, objects: Sequence[str], log: str
    ) -> tuple[Found, tuple[complaints.Complaint, ...]]:
        """Compile objects with W=1; returns what is said."""
        if not objects:
            return Found(log=""), ()
        self.sandbox.show(["rm", "-f", *objects], cwd=self.paths.kernel)
        done = self._make(self.kernel.command("W=1", *objects), COMPILE, log, "W=1")
        if not done.ok:
            return Found(self._why(done), done.limited, log), ()
        faults = _UNREAD if done.cut else ()
        return Found(faults, done.limited, log), self._complaints(done.output)

    def _complaints(self, text: str) -> tuple[complaints.Complaint, ...]:
        return complaints.scan(text, self.roots)

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """What the path of a source file may begin with in a log."""
        return complaints.roots(self.kernel)

    def tests(self) -> tuple[str, ...]:
        """The selftests that the sources have and the base has not."""
        names = self._git(
            *("diff", "--name-only", "--no-renames", "--diff-filter=A", self.base.commit, "HEAD"),
            *("--", _SELFTESTS),
        )
        return tuple(
            path.stem
            for path in map(Path, names.splitlines())
            if path.suffix == ".c" and path.stem.isidentifier()
        )

    def source_of(self, test: str) -> str:
        """The text of a selftest."""
        return self._git("show", f"HEAD:{_SELFTESTS}{test}.c")

    def tools(self, tests: Sequence[str], log: str) -> Found:
        """Build libbpf, bpftool and the selftests."""
        types = (
            "objcopy",
            f"--dump-section=.BTF={self.paths.btf}",
            self.paths.vmlinux,
            "/dev/null",
        )
        out, bin_ = self.paths.root, self.paths.bin
        made: list[tuple[str | Path, ...]] = [
            types,
            ("mkdir", "-p", out / "bpftool", out / "selftests", self.job.libbpf, bin_),
            tuple(build.tools_command(self.job)),
            ("install", out / "bpftool/bpftool", bin_),
        ]
        if tests:
            made += [
                tuple(build.selftests_command(self.job, tests)),
                ("install", out / "selftests" / self.paths.runner.name, self.paths.runner),
            ]
        limited: list[Limited] = []
        for command in made:
            done = self._make(command, TOOLS, log, "tools and selftests")
            limited += done.limited
            if not done.ok:
                return Found(self._why(done), tuple(limited), log)
        return Found((), tuple(limited), log)

    def _make(self, command: Sequence[str | Path], limits: Limits, log: str, what: str) -> Outcome:
        if command[0] != "make":
            return self._run(command, limits, log)
        place = self.sandbox.disk.path / "log" / log
        with watching(what, place) as tick:
            return self.sandbox.run(command, limits, log=log, tick=tick)

    def _why(self, done: Outcome) -> tuple[str, ...]:
        """Why a make failed: the limit it met, or the first errors."""
        if done.limited and done.why == done.limited[0].how:
            return (str(done.limited[0]),)
        return kmake.first_errors(done.output) or (done.why,)

    def _run(
        self,
        command: Sequence[str | Path],
        limits: Limits,
        log: str,
        *,
        cwd: Path | None = None,
        stdin: str | None = None,
    ) -> Outcome:
        return self.sandbox.run(command, limits, log=log, cwd=cwd or self.base.sources, stdin=stdin)

    def _git(
        self,
        *words: str,
        cwd: Path | None = None,
        check: type[InfraError | BuildError] = BuildError,
    ) -> str:
        done = self._run(git.command(*words), APPLY, "git.log", cwd=cwd)
        if not done.ok:
            raise check(f"`git {words[0]}` {done.why}: {done.output[-300:].strip()}")
        if done.cut:
            raise check(f"`git {words[0]}` printed too much to be read")
        return done.output
