"""The build matrix: the series in every sensible configuration, and what its files warn of.

configs/matrix.toml lists the builds and explains itself. A build has two phases, each skipped while
what it is made from stays the same: "kernel" links vmlinux, without a warning; "warnings"
compiles the files that the series touches once more, pickier, and holds what is said against what
is said about the base. Some have a third: "boot" runs LSM programs on it. One build that fails does
not stop the others.
"""

import json
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import packages
from harness.errors import BuildError, UsageError
from harness.kernel import build, complaints, fingerprint, kconfig, kmake
from harness.kernel.arch import ARCHES, Arch
from harness.machine import boot
from harness.model import ROOT, VARIANTS
from harness.packages import LLVM, Need
from harness.progress import say, watching
from harness.trees import source, tree
from harness.trees.git import Repo

LIST = ROOT / "configs/matrix.toml"
#: Free space wanted for each chosen build, in bytes.
ROOM = build.GIB

_FLAGS = ("clang", "sparse", "boot")
_KEYS = frozenset({"what", "config", "lost", "arch", *_FLAGS})

#: What is asked for, and what is lost, by the value it was asked for with.
_Layer = tuple[dict[str, str], dict[str, str]]
_LLD = Need("lld-19", file=LLVM / "ld.lld")
_SPARSE = Need("sparse", command="sparse")
_WORD = re.compile(r"\w+")
_UNRESOLVED = re.compile(r"resolve_btfids: unresolved symbol (\w+)")


@dataclass(frozen=True)
class Entry:
    """One build of the matrix.

    Attributes:
        name: what the user calls it.
        what: one line for people.
        config: the options it must have.
        lost: options it must not have any more, by what value they were asked for.
        arch: what it is built for.
        clang: LLVM instead of GNU.
        sparse: sparse reads the touched files.
        boot: it is booted, too.
    """

    name: str
    what: str
    config: kconfig.Config
    lost: kconfig.Config = field(default_factory=dict)
    arch: Arch = ARCHES["x86"]
    clang: bool = False
    sparse: bool = False
    boot: bool = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """What the machine must have for it, besides what every kernel needs."""
        return (
            *(self.arch.needs if self.boot or not self.clang else ()),
            *(self.arch.boot_needs if self.boot else ()),
            *((_LLD,) if self.clang else ()),
            *((_SPARSE,) if self.sparse else ()),
        )

    @property
    def compiler(self) -> str:
        """The compiler's command."""
        return "clang" if self.clang else self.arch.gcc

    @property
    def words(self) -> tuple[str, ...]:
        """What make is told."""
        words = self.arch.words
        if not self.clang:
            return words
        return ("LLVM=1", *(word for word in words if not word.startswith("CROSS_COMPILE=")))


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        names: which builds; all when empty.
        kernel_src: KERNEL_SRC; None or empty for Debian's package.
        configure: check the configurations, build nothing.
        build: where everything is made.
    """

    names: tuple[str, ...] = ()
    kernel_src: str | None = None
    configure: bool = False
    build: Path = ROOT / "build"


@dataclass
class Outcome:
    """What became of one build.

    Attributes:
        entry: which.
        faults: what is wrong, a line each.
        seconds: how long each phase took; absent when it was skipped.
    """

    entry: Entry
    faults: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        verdict = "FAILED" if self.faults else "ok" if self.seconds else "as before"
        spent = f"{sum(self.seconds.values()):6.0f} s" if self.seconds else ""
        return f"{self.entry.name:<20} {verdict:<9} {spent:<9} {self.entry.what}"


@dataclass(frozen=True)
class Sources:
    """The sources of all builds.

    Attributes:
        trees: the series' working tree, and what it was made from.
        origin: where the base comes from.
        target: the folder in which everything is made.
    """

    trees: tree.Trees
    origin: source.Source
    target: Path

    @cached_property
    def key(self) -> str:
        """A hash of what a kernel is built from."""
        return fingerprint.of_tree(self.trees.kernel, without=build.NOT_KERNEL)

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """The files in which the working tree differs from the base, sorted."""
        repo = self.trees.kernel
        listed = repo.out("diff", "--name-only", "-z", self.trees.state.base).split("\0")
        paths = {path for path in (*listed, *repo.changes()) if path}
        return tuple(sorted(path for path in paths if (repo.path / path).is_file()))

    @cached_property
    def unresolved(self) -> frozenset[str]:
        """The BTF ids that the base lists by name and the series neither adds nor removes.

        Some are of types and functions that are not there in every configuration.
        """
        repo, base = self.trees.kernel, self.trees.state.base
        listed = repo.run("grep", "-hE", r"BTF_ID(_FLAGS)?\(", base, "--", "*.c", check=None).stdout
        lines = repo.out("diff", "--unified=0", base).splitlines()
        changed = "\n".join(line for line in lines if line.startswith(("+", "-")))
        return frozenset(_WORD.findall(listed)) - frozenset(_WORD.findall(changed))

    @cached_property
    def base(self) -> Repo:
        """A working tree of the base alone, made when it is first asked for."""
        with build.exclusive(self.target, "sources.lock"):
            peer = VARIANTS["upstream"]
            return tree.prepare(peer, self.origin, say, build=self.target).kernel


def read(text: str, common: kconfig.Config, name: str = LIST.name) -> tuple[Entry, ...]:
    """Read the list of builds.

    Args:
        text: its contents, TOML.
        common: what every build asks for.
        name: what to call the list in a complaint.

    Raises:
        UsageError: the list is not well-formed.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}.") from error
    strangers = tables.keys() - {"reduced", "booted", "build"}
    if strangers:
        raise UsageError(f"{name}: [{min(strangers)}] is not [reduced], [booted] or [build.NAME].")
    start: _Layer = (dict(common), {})
    reduced = _apply(start, tables.get("reduced", {}), f"{name}: [reduced]")
    booted = _apply(reduced, tables.get("booted", {}), f"{name}: [booted]")
    entries = []
    for title, content in tables.get("build", {}).items():
        where = f"{name}: [build.{title}]"
        table = _table(content, where, _KEYS)
        layer = _apply(booted if table.get("boot") else reduced, table, where, _KEYS)
        entries.append(_entry(title, table, layer, where))
    return tuple(entries)


def choose(entries: Sequence[Entry], names: Sequence[str]) -> tuple[Entry, ...]:
    """The builds called `names`, in the list's order; all when there are no names.

    Raises:
        UsageError: a name is not in the list.
    """
    unknown = [name for name in names if name not in {entry.name for entry in entries}]
    if unknown:
        raise UsageError(f"there is no build {unknown[0]!r} in {LIST.name}; --list shows them.")
    return tuple(entry for entry in entries if not names or entry.name in names)


def survivors(lost: kconfig.Config, got: kconfig.Config) -> tuple[str, ...]:
    """The options that were said to be lost, and are there all the same."""
    return tuple(option for option, value in lost.items() if got.get(option, "n") == value)


def common() -> dict[str, str]:
    """What every build asks for: the product's configuration."""
    return build.requested(VARIANTS["krsi"])


def listed(path: Path = LIST) -> tuple[Entry, ...]:
    """The builds of configs/matrix.toml.

    Raises:
        UsageError: the list is not well-formed.
    """
    return read(path.read_text(encoding="utf-8"), common(), path.name)


def run(request: Request) -> None:
    """Make every chosen build, and say how each went.

    build/matrix.json keeps the results.

    Raises:
        UsageError: a name or the list is wrong, or work would be lost.
        BuildError: at the end, if any build failed.
        InfraError: something the machine should have is missing, disk space included.
    """
    chosen = choose(listed(), request.names)
    needs = () if request.kernel_src else packages.BASE
    extra = (need for entry in chosen for need in entry.needs)
    packages.ensure((*needs, *packages.KERNEL, *extra), say)
    fresh = [entry for entry in chosen if not _folder(request, entry).exists()]
    build.require_room(request.build, ROOM * (1 + len(fresh)))
    with build.exclusive(request.build, "matrix.lock"):
        with build.exclusive(request.build, "sources.lock"):
            origin = source.locate(request.kernel_src)
            trees = tree.prepare(VARIANTS["krsi"], origin, say, build=request.build)
        sources = Sources(trees, origin, request.build)
        outcomes = []
        for entry in chosen:
            outcome = _Builder(request, entry, sources).run()
            say(str(outcome))
            for fault in outcome.faults:
                say("    " + fault.replace("\n", "\n    "))
            outcomes.append(outcome)
            _report(request.build / "matrix.json", outcomes)
    failed = [outcome.entry.name for outcome in outcomes if outcome.faults]
    if failed:
        raise BuildError(f"{len(failed)} of {len(outcomes)} builds failed: {', '.join(failed)}.")
    say(f"matrix: {len(outcomes)} builds, all is well")


@dataclass(frozen=True)
class _Builder:
    """One build under way."""

    request: Request
    entry: Entry
    sources: Sources

    @property
    def folder(self) -> Path:
        return _folder(self.request, self.entry)

    @property
    def kernel(self) -> kmake.Kernel:
        return self._kernel(self.sources.trees.kernel, "kernel")

    def run(self) -> Outcome:
        """Run each phase whose inputs have changed, until one fails."""
        outcome = Outcome(self.entry)
        stamps = kmake.Stamps(self.folder / "stamps.json")
        key = self._key()
        # What the warnings are held against is the base.
        phases = {
            "kernel": (key, self._build),
            "warnings": (
                fingerprint.of_words(key, self.sources.trees.state.base, *self.sources.touched),
                self._warnings,
            ),
        }
        if self.entry.boot:
            files = [Path(boot.__file__), boot.INIT]
            started_by = fingerprint.of_files(ROOT, files)
            phases["boot"] = (fingerprint.of_words(key, started_by), self._boot)
        if self.request.configure:
            phases = {"configuration": (key, lambda: self._configure("configuration"))}
        for name, (wanted, phase) in phases.items():
            if stamps.holds(name, wanted):
                continue
            stamps.drop(name)
            started = time.monotonic()
            try:
                outcome.faults = phase()
            except BuildError as error:
                outcome.faults = (str(error),)
            outcome.seconds[name] = time.monotonic() - started
            if outcome.faults:
                break
            stamps.put(name, wanted)
        return outcome

    def _key(self) -> str:
        """A hash of what the kernel is made from."""
        names = (__file__, complaints.__file__, kmake.__file__, kconfig.__file__)
        files = [Path(name) for name in names]
        return fingerprint.of_words(
            fingerprint.of_files(ROOT, files),
            *(kmake.version(tool) for tool in (self.entry.compiler, "gcc", "pahole")),
            self.sources.key,
            kconfig.render(self.entry.config),
            kconfig.render(self.entry.lost),
            *self.entry.words,
            str(self.entry.sparse),
        )

    def _kernel(self, repo: Repo, out: str) -> kmake.Kernel:
        name = self.folder.name
        return kmake.Kernel(
            name, repo.path, self.folder / out, self.entry.compiler, self.entry.words
        )

    def _log(self, phase: str) -> Path:
        return kmake.fresh(self.folder / "log" / f"{phase}.log")

    def _configure(self, phase: str) -> tuple[str, ...]:
        """Write the .config; returns what came out wrong."""
        got = self.kernel.configure(self.entry.config, self._log(phase))
        missing = kconfig.missing(self.entry.config, got)
        alive = survivors(self.entry.lost, got)
        return (
            *(f"asked for, but not there: {option}" for option in missing),
            *(f"there, although said to be lost: {option}" for option in alive),
        )

    def _build(self) -> tuple[str, ...]:
        """Configure and link; returns what compilers and linkers warn of."""
        log = self.folder / "log/kernel.log"
        complaints.forget(self.kernel, log)
        faults = self._configure("kernel")
        if faults:
            return faults
        with watching(f"{self.entry.name}: kernel", log) as tick:
            image = (self.entry.arch.target,) if self.entry.boot else ()
            self.kernel.make("kernel", log, "vmlinux", *image, tick=tick)
        found = complaints.of_log(self.kernel, log)
        return tuple(dict.fromkeys(each.line for each in found if not self._of_base(each)))

    def _of_base(self, complaint: complaints.Complaint) -> bool:
        """Whether it is about a symbol of which only the base speaks."""
        symbol = _UNRESOLVED.fullmatch(complaint.text)
        return symbol is not None and symbol[1] in self.sources.unresolved

    def _warnings(self) -> tuple[str, ...]:
        """Compile the touched files anew; returns what is said about them and not the base."""
        review = complaints.Review(
            self.kernel, self.sources.touched, self._base, self._log, self.entry.sparse
        )
        return tuple(each.line for each in review.new())

    def _base(self) -> kmake.Kernel:
        base = self._kernel(self.sources.base, "base")
        base.configure(self.entry.config, self._log("base"))
        return base

    def _boot(self) -> tuple[str, ...]:
        """Boot it with our own init; returns what went wrong."""
        image = self.kernel.out / self.entry.arch.image
        audit = self.entry.config.get("CONFIG_BPF_LSM_ENFORCE") == "n"
        return boot.run(self.entry.arch, image, self.folder / "boot", audit=audit)


def _folder(request: Request, entry: Entry) -> Path:
    return request.build / f"matrix-{entry.name}"


def _report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write what the builds came to."""
    content = [
        {
            "name": outcome.entry.name,
            "ok": not outcome.faults,
            "seconds": {name: round(spent, 1) for name, spent in outcome.seconds.items()},
            "faults": list(outcome.faults),
        }
        for outcome in outcomes
    ]
    kmake.replace(path, (json.dumps(content, indent=2) + "\n").encode())


def _table(table: object, where: str, keys: frozenset[str]) -> Mapping[str, object]:
    """A table of the list, its keys and their types checked.

    Raises:
        UsageError: a key is unknown or of the wrong type.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table.")
    for key, value in table.items():
        kind = bool if key in _FLAGS else str
        if key not in keys or not isinstance(value, kind):
            raise UsageError(f"{where}: {key!r} is not known, or not a {kind.__name__}.")
    return table


def _apply(
    below: _Layer, content: object, where: str, keys: frozenset[str] = frozenset({"config", "lost"})
) -> _Layer:
    """Lay a table's difference over a request.

    Args:
        below: what is asked for, and what is lost already.
        content: the table; `config` and `lost` count.
        where: its name, for a complaint.
        keys: what it may have.

    Raises:
        UsageError: `lost` names something that nobody asks for.
    """
    table = _table(content, where, keys)
    wanted, gone = below
    difference = kconfig.parse(str(table.get("config", "")), where)
    request = kconfig.merge([wanted, difference])
    lost = {option: value for option, value in gone.items() if option not in difference}
    for option in str(table.get("lost", "")).split():
        if option in difference or option not in request:
            raise UsageError(f"{where}: lost names {option}, which the fragments do not ask for.")
        lost[option] = request.pop(option)
    return request, lost


def _entry(name: str, table: Mapping[str, object], layer: _Layer, where: str) -> Entry:
    """One build of the list.

    Raises:
        UsageError: it is not well-formed.
    """
    arch = str(table.get("arch", "x86"))
    if arch not in ARCHES:
        raise UsageError(f"{where}: there is no arch {arch!r}; there are {', '.join(ARCHES)}.")
    if not table.get("what"):
        raise UsageError(f"{where}: says nothing about `what` it is.")
    config, lost = layer
    return Entry(
        name=name,
        what=str(table["what"]),
        config=config,
        lost=lost,
        arch=ARCHES[arch],
        clang=bool(table.get("clang", False)),
        sparse=bool(table.get("sparse", False)),
        boot=bool(table.get("boot", False)),
    )
