"""From sources to something that boots: configuration, kernel, tools, selftests.

Every phase knows by a hash what it was made from, and is skipped while that stays the same; within
a phase make does the least that is needed. All output goes below build/<variant>/.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import packages
from harness.errors import InfraError, UsageError
from harness.kernel import elf, fingerprint, kconfig, kmake
from harness.model import ROOT, VARIANTS, BuildPaths, Variant
from harness.progress import say, watching
from harness.trees import series, source, tree

FRAGMENT = ROOT / "Kconfig.fragment"
RUNNER = ROOT / "harness/runner"
GIB = 1 << 30
#: Free space wanted before the very first build, which brings the sources, before a variant's first
#: one, and before a later one, in bytes. A variant takes 2 GiB, the sources 2.3.
ROOM_SOURCES, ROOM_FIRST, ROOM_AGAIN = 6 * GIB, 3 * GIB, 1 * GIB

_SELFTESTS = "tools/testing/selftests/bpf/"
NOT_KERNEL = ("Documentation/", "samples/", "tools/testing/", "tools/bpf/bpftool/")
_TOOLS = (
    *("tools/arch/", "tools/bpf/", "tools/build/", "tools/include/", "tools/lib/"),
    *("tools/scripts/", "include/uapi/", "kernel/bpf/", "scripts/"),
)


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        variant: which kernel.
        kernel_src: KERNEL_SRC; None or empty for Debian's package.
        build: where everything is made.
    """

    variant: Variant
    kernel_src: str | None = None
    build: Path = ROOT / "build"


@dataclass(frozen=True)
class Job:
    """One build under way.

    Attributes:
        request: what was asked for.
        paths: where the results go.
        trees: where the sources lie.
        toolchain: one line for each compiler and the like.
        times: seconds each phase took in this run; absent when it was skipped.
    """

    request: Request
    paths: BuildPaths
    trees: tree.Trees
    toolchain: Mapping[str, str]
    times: dict[str, float] = field(default_factory=dict)

    @cached_property
    def kernel_sources(self) -> fingerprint.Snapshot:
        """The kernel's sources when they were first asked for."""
        return fingerprint.Snapshot.of(self.trees.kernel)

    @cached_property
    def tools_sources(self) -> fingerprint.Snapshot:
        """Those of libbpf, bpftool and the selftests; the product's are in the kernel's tree."""
        if self.trees.tree == self.trees.kernel:
            return self.kernel_sources
        return fingerprint.Snapshot.of(self.trees.tree)

    @property
    def libbpf(self) -> Path:
        """libbpf.a, and its headers below include/."""
        return self.paths.root / "libbpf"

    @property
    def btf(self) -> Path:
        """The raw BTF of the kernel; touched only when the types change."""
        return self.paths.btf

    def log(self, phase: str) -> Path:
        """Where the output of `phase` is kept."""
        return self.paths.root / "log" / f"{phase}.log"


def kernel(request: Request) -> BuildPaths:
    """Build one variant: kernel, libbpf, bpftool and selftests.

    Raises:
        UsageError: KERNEL_SRC or the configuration fragments are wrong, or work would be lost.
        BuildError: a patch, an option or a source file was refused, or a guard found a fault.
        InfraError: something the machine should have is missing, disk space included.
    """
    started = time.monotonic()
    paths = BuildPaths.of(request.variant.name, request.build)
    needs = () if request.kernel_src else packages.BASE
    packages.ensure((*needs, *packages.KERNEL, *packages.VM), say)
    require_room(request.build, room(paths))
    with exclusive(request.build):
        with exclusive(request.build, "sources.lock"):
            origin = source.locate(request.kernel_src)
            trees = tree.prepare(request.variant, origin, say, build=request.build)
        job = Job(request, paths, trees, toolchain())
        _run_phases(job)
        seconds = time.monotonic() - started
        _write_manifest(job, seconds)
        if job.times:
            say(f"{request.variant.name}: built in {seconds:.0f} s")
        else:
            say(f"{request.variant.name}: nothing has changed ({seconds:.1f} s)")
    return paths


def variant_named(name: str) -> Variant:
    """The variant called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in VARIANTS:
        raise UsageError(f"there is no variant {name!r}; there are {', '.join(VARIANTS)}.")
    return VARIANTS[name]


def room(paths: BuildPaths) -> int:
    """The free space that a build into these paths wants, in bytes."""
    if paths.manifest.exists():
        return ROOM_AGAIN
    return ROOM_FIRST if (paths.root.parent / "tree").exists() else ROOM_SOURCES


def require_room(folder: Path, wanted: int) -> None:
    """Check that the disk below `folder` has `wanted` bytes free.

    Raises:
        InfraError: it has not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise InfraError(
            f"{folder} has {free / GIB:.1f} GiB free, the build needs {wanted / GIB:.0f} GiB: "
            "'make clean' deletes what was built before."
        )


@contextmanager
def exclusive(build: Path, name: str = "lock") -> Iterator[None]:
    """Hold a lock in build/; wait for whoever holds it, saying so.

    "lock" guards a whole build, "sources.lock" the git repository in build/tree.
    """
    build.mkdir(parents=True, exist_ok=True)
    with (build / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run holds {build / name}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def toolchain() -> dict[str, str]:
    """The first line that each compiler and the like says of its version."""
    return {tool: kmake.version(tool) for tool in ("gcc", "ld", "clang", "pahole")}


def requested(variant: Variant, fragment: Path = FRAGMENT) -> dict[str, str]:
    """The options that a variant's kernel must have.

    Raises:
        UsageError: a fragment is missing or has a line that is none.
    """
    return kconfig.merge([kconfig.read(fragment), kconfig.read(variant.fragment)])


def _run_phases(job: Job) -> None:
    """Run each phase whose inputs have changed, in order."""
    wanted = requested(job.request.variant)
    common = recipe(job)
    sources = job.kernel_sources.digest(without=NOT_KERNEL)
    key = fingerprint.of_words(common, sources, kconfig.render(wanted))
    phase(
        job,
        "kernel",
        key,
        [job.paths.bzimage, job.paths.vmlinux, job.btf],
        lambda: _build_kernel(job, wanted),
    )
    tools_and_selftests(job, own_tests(job))


def recipe(job: Job) -> str:
    """A hash of what every phase depends on: how we build, and with what."""
    files = (__file__, kmake.__file__, kconfig.__file__)
    ours = fingerprint.of_files(ROOT, [Path(file) for file in files])
    return fingerprint.of_words(ours, *job.toolchain.values())


def phase(job: Job, name: str, key: str, outputs: Sequence[Path], make: Callable[[], None]) -> None:
    """Do `make()` unless it was done for this `key` and left its outputs."""
    stamps = kmake.Stamps(job.paths.root / "stamps.json")
    if stamps.holds(name, key) and all(path.exists() for path in outputs):
        return
    stamps.drop(name)
    started = time.monotonic()
    make()
    job.times[name] = time.monotonic() - started
    stamps.put(name, key)


def tools_and_selftests(job: Job, tests: Sequence[str], extras: Sequence[str] = ()) -> None:
    """The phases of what runs on the kernel, from the job's `tree` and the kernel's types.

    Args:
        job: where from and where to.
        tests: the files of prog_tests/, without their .c.
        extras: what the tests start besides, to lie beside the program that holds them.
    """
    types = fingerprint.of_files(job.paths.root, [job.btf])
    sources = job.tools_sources.digest(only=_TOOLS)
    key = fingerprint.of_words(recipe(job), types, sources)
    outputs = [job.paths.bin / "bpftool", job.libbpf / "libbpf.a"]
    phase(job, "tools", key, outputs, lambda: _build_tools(job))
    key = fingerprint.of_words(
        key,
        job.trees.state.base,
        job.tools_sources.digest(only=("tools/testing/selftests/",)),
        fingerprint.of_folder(RUNNER),
        *tests,
        *extras,
    )
    phase(job, "selftests", key, [], lambda: _build_selftests(job, tests, extras))


def own_tests(job: Job) -> tuple[str, ...]:
    """The C selftests that the series adds, edits not yet committed included."""
    trees = job.trees
    base = trees.state.base
    paths = {*series.created(trees.tree, base, trees.tree.head), *job.tools_sources.edited}
    folder = f"{_SELFTESTS}prog_tests/"
    added = (Path(path) for path in paths if path.startswith(folder) and path.endswith(".c"))
    known = trees.tree.out("ls-tree", "--name-only", base, folder).splitlines()
    return tuple(
        sorted(
            path.stem
            for path in added
            if str(path) not in known and (trees.tree.path / path).exists()
        )
    )


def _build_kernel(job: Job, wanted: kconfig.Config) -> None:
    log = kmake.fresh(job.log("kernel"))
    made = _kernel(job)
    got = made.configure(wanted, log)
    kconfig.require(wanted, got, f"the kernel's configuration ({made.config})")
    with watching(f"{made.name}: kernel", log) as tick:
        made.make("kernel", log, "vmlinux", "bzImage", tick=tick)
    image = elf.Image(job.paths.vmlinux)
    elf.guard(image, job.request.variant, job.trees.kernel.path, wanted)
    types = image.section(".BTF")
    if not job.btf.exists() or job.btf.read_bytes() != types:
        kmake.replace(job.btf, types)


def kbuild(job: Job, *targets: str) -> list[str]:
    """The make command for the job's kernel."""
    return _kernel(job).command(*targets)


def _kernel(job: Job) -> kmake.Kernel:
    return kmake.Kernel(job.request.variant.name, job.trees.kernel.path, job.paths.kernel)


def _build_tools(job: Job) -> None:
    """Build libbpf and bpftool from the product's tree."""
    log = kmake.fresh(job.log("tools"))
    out = job.paths.root / "bpftool"
    out.mkdir(parents=True, exist_ok=True)
    job.libbpf.mkdir(parents=True, exist_ok=True)
    with watching(f"{job.request.variant.name}: libbpf and bpftool", log) as tick:
        run_make(job, "bpftool", tools_command(job), log, tick)
    install(out / "bpftool", job.paths.bin / "bpftool")


def tools_command(job: Job) -> list[str]:
    """The make command for libbpf and bpftool."""
    return [
        *("make", "-C", str(job.trees.tree.path / "tools/bpf/bpftool"), f"-j{kmake.jobs()}"),
        f"CC={kmake.ccache()}gcc",
        f"HOSTCC={kmake.ccache()}gcc",
        f"OUTPUT={job.paths.root / 'bpftool'}/",
        f"LIBBPF_OUTPUT={job.libbpf}/",
        f"LIBBPF_DESTDIR={job.libbpf}/",
        f"VMLINUX_BTF={job.btf}",
    ]


def _build_selftests(job: Job, tests: Sequence[str], extras: Sequence[str]) -> None:
    """Build selftests into one program."""
    if not tests:
        say(f"{job.request.variant.name}: the series brings no selftests")
        job.paths.runner.unlink(missing_ok=True)
        return
    log = kmake.fresh(job.log("selftests"))
    out = job.paths.root / "selftests"
    out.mkdir(parents=True, exist_ok=True)
    with watching(f"{job.request.variant.name}: selftests", log) as tick:
        run_make(job, "selftests", selftests_command(job, tests, extras), log, tick)
    for name in (job.paths.runner.name, *extras):
        install(out / name, job.paths.bin / name)


def selftests_command(job: Job, tests: Sequence[str], extras: Sequence[str] = ()) -> list[str]:
    """The make command for one program that holds these selftests."""
    return [
        *("make", "-C", str(RUNNER), f"-j{kmake.jobs()}"),
        f"CC={kmake.ccache()}gcc",
        f"KSRC={job.trees.tree.path}",
        f"VMLINUX={job.btf}",
        f"BPFTOOL={job.paths.bin / 'bpftool'}",
        f"LIBBPF={job.libbpf}",
        f"CLANG={kmake.ccache()}clang",
        f"OUT={job.paths.root / 'selftests'}",
        f"TESTS={' '.join(tests)}",
        f"EXTRAS={' '.join(extras)}",
    ]


def run_make(
    job: Job,
    what: str,
    command: Sequence[str],
    log: Path,
    tick: Callable[[], None] | None = None,
) -> None:
    """Run one make of this job; see kmake.make()."""
    name = job.request.variant.name
    kmake.make(f"{what} of {name}", command, log, build=job.request.build, tick=tick)


def _write_manifest(job: Job, seconds: float) -> None:
    """Say what was built from what, and keep for each phase how long it took when it last ran.

    Where nothing was built, the same sources may still have got another name: by a commit, by
    `make patches`, or by a patch of which only the message has changed.
    """
    state = job.trees.state
    known = kmake.load(job.paths.manifest)
    old = known.get("seconds")
    took = {**_rounded(job.times), "total": round(seconds, 1)} if job.times else {}
    config = job.paths.kernel / ".config"
    manifest = {
        "variant": job.request.variant.name,
        "base": {"version": state.version, "package": state.package, "commit": state.base},
        "series": {
            "hash": state.series,
            "head": job.trees.kernel.head,
            "tools": job.trees.tree.head,
            "edited": bool(job.trees.kernel.changes() or job.trees.tree.changes()),
            "exported": not job.trees.developed,
        },
        "configuration": fingerprint.of_files(job.paths.root, [config]),
        "toolchain": dict(job.toolchain),
        "seconds": {**(old if isinstance(old, dict) else {}), **took},
    }
    if manifest != known:
        kmake.replace(job.paths.manifest, (json.dumps(manifest, indent=2) + "\n").encode())


def _rounded(times: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 1) for name, seconds in times.items()}


def install(path: Path, place: Path) -> None:
    """Copy a program so that nobody ever sees half of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(place.name + ".new")
    shutil.copy2(path, fresh)
    fresh.replace(place)
