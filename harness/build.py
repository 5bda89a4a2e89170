"""From sources to something that boots: configuration, kernel, tools, selftests.

Every phase knows by a hash what it was made from, and is skipped while that stays the same; within
a phase make does the least that is needed. All output goes below build/<variant>/.
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import elf, fingerprint, kconfig, packages, proc, series, source, tree
from harness.errors import BuildError, InfraError, UsageError
from harness.model import ROOT, VARIANTS, BuildPaths, Variant
from harness.progress import say, watching

FRAGMENT = ROOT / "Kconfig.fragment"
RUNNER = ROOT / "harness/runner"
GIB = 1 << 30
#: Free space wanted before a variant's first build, and before a later one, in bytes.
ROOM_FIRST, ROOM_AGAIN = 6 * GIB, 1 * GIB

_SELFTESTS = "tools/testing/selftests/bpf/"
_NOT_KERNEL = ("Documentation/", "samples/", "tools/testing/", "tools/bpf/bpftool/")
_TOOLS = (
    *("tools/arch/", "tools/bpf/", "tools/build/", "tools/include/", "tools/lib/"),
    *("tools/scripts/", "include/uapi/", "kernel/bpf/", "scripts/"),
)
_TIMEOUT = 7200.0
_ERROR_LINES = re.compile(r"(\berror: |undefined reference|FAILED|No rule to make)")
_MAKE_ERROR = re.compile(r": \*\*\* ")
_NO_SPACE = re.compile(r"No space left on device")
_SHOWN_ERRORS = 3


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
    require_room(request.build, ROOM_AGAIN if paths.manifest.exists() else ROOM_FIRST)
    with exclusive(request.build):
        with exclusive(request.build, "sources.lock"):
            origin = source.locate(request.kernel_src)
            trees = tree.prepare(request.variant, origin, say, build=request.build)
        job = Job(request, paths, trees, toolchain())
        _run_phases(job)
        seconds = time.monotonic() - started
        if job.times:
            _write_manifest(job, seconds)
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


def require_room(folder: Path, wanted: int) -> None:
    """Check that the disk below `folder` has `wanted` bytes free.

    Raises:
        InfraError: it has not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise InfraError(
            f"{folder} has {free / GIB:.1f} GiB free, the build needs {wanted / GIB:.0f} GiB."
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
    env = {"PATH": packages.search_path(), "LC_ALL": "C"}
    versions = {}
    for tool in ("gcc", "ld", "clang", "pahole"):
        printed = proc.run([_tool(tool), "--version"], env=env, timeout=30).stdout
        versions[tool] = printed.splitlines()[0].strip() if printed else ""
    return versions


def requested(variant: Variant, fragment: Path = FRAGMENT) -> dict[str, str]:
    """The options that a variant's kernel must have.

    Raises:
        UsageError: a fragment is missing or has a line that is none.
    """
    return kconfig.merge([kconfig.read(fragment), kconfig.read(variant.fragment)])


def first_errors(log: str, count: int = _SHOWN_ERRORS) -> tuple[str, ...]:
    """The first lines of a build log that look like an error; make's own when there are none."""
    lines = [line.strip() for line in log.splitlines()]
    for pattern in (_ERROR_LINES, _MAKE_ERROR):
        found = tuple(dict.fromkeys(line for line in lines if pattern.search(line)))
        if found:
            return found[:count]
    return ()


def _run_phases(job: Job) -> None:
    """Run each phase whose inputs have changed, in order."""
    wanted = requested(job.request.variant)
    common = recipe(job)
    sources = fingerprint.of_tree(job.trees.kernel, without=_NOT_KERNEL)
    key = fingerprint.of_words(common, sources, kconfig.render(wanted))
    phase(
        job,
        "kernel",
        key,
        [job.paths.bzimage, job.paths.vmlinux, job.btf],
        lambda: _build_kernel(job, wanted),
    )
    tools_and_selftests(job, lambda: selftests(job, _tests(job.trees)))


def recipe(job: Job) -> str:
    """A hash of what every phase depends on: how we build, and with what."""
    ours = fingerprint.of_files(ROOT, [Path(__file__), Path(kconfig.__file__)])
    return fingerprint.of_words(ours, *job.toolchain.values())


def phase(job: Job, name: str, key: str, outputs: Sequence[Path], make: Callable[[], None]) -> None:
    """Do `make()` unless it was done for this `key` and left its outputs."""
    stamps = job.paths.root / "stamps.json"
    done = _load(stamps)
    if done.get(name) == key and all(path.exists() for path in outputs):
        return
    done.pop(name, None)
    _save(stamps, done)
    started = time.monotonic()
    make()
    job.times[name] = time.monotonic() - started
    done[name] = key
    _save(stamps, done)


def tools_and_selftests(job: Job, make_selftests: Callable[[], None]) -> None:
    """The phases of what runs on the kernel, from the job's `tree` and the kernel's types."""
    types = fingerprint.of_files(job.paths.root, [job.btf])
    sources = fingerprint.of_tree(job.trees.tree, only=_TOOLS)
    key = fingerprint.of_words(recipe(job), types, sources)
    outputs = [job.paths.bin / "bpftool", job.libbpf / "libbpf.a"]
    phase(job, "tools", key, outputs, lambda: _build_tools(job))
    key = fingerprint.of_words(
        key,
        job.trees.state.base,
        fingerprint.of_tree(job.trees.tree, only=("tools/testing/selftests/",)),
        fingerprint.of_folder(RUNNER),
    )
    phase(job, "selftests", key, [], make_selftests)


def _build_kernel(job: Job, wanted: kconfig.Config) -> None:
    log = fresh(job.log("kernel"))
    _configure(job, wanted, log)
    with watching(f"{job.request.variant.name}: kernel", log) as tick:
        run_make(job, "kernel", kbuild(job, "vmlinux", "bzImage"), log, tick)
    image = elf.Image(job.paths.vmlinux)
    elf.guard(image, job.request.variant, job.trees.kernel.path, wanted)
    types = image.section(".BTF")
    if not job.btf.exists() or job.btf.read_bytes() != types:
        replace(job.btf, types)


def _configure(job: Job, wanted: kconfig.Config, log: Path) -> None:
    """Write the .config: tinyconfig, our options on top, settled by olddefconfig, checked."""
    out = job.paths.kernel
    out.mkdir(parents=True, exist_ok=True)
    config = out / ".config"
    before = config.read_bytes() if config.exists() else None
    stat = config.stat() if before is not None else None
    run_make(job, "configuration", kbuild(job, "tinyconfig"), log)
    tiny = kconfig.read(config)
    config.write_text(kconfig.render(kconfig.merge([tiny, wanted])), encoding="utf-8")
    run_make(job, "configuration", kbuild(job, "olddefconfig"), log)
    kconfig.require(wanted, kconfig.read(config), f"the kernel's configuration ({config})")
    if stat is not None and config.read_bytes() == before:
        os.utime(config, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def kbuild(job: Job, *targets: str) -> list[str]:
    """The make command for the kernel.

    Neither the log nor the object files depend on where the project lies, so that
    ccache serves every checkout and every variant, and a build can be repeated bit by bit.
    """
    out, src = job.paths.kernel, job.trees.kernel.path
    relative = os.path.relpath(src, out)
    maps = f"-ffile-prefix-map={src}/= -ffile-prefix-map={relative}/= -ffile-prefix-map={out}=."
    return [
        *("make", "-C", str(src), f"O={out}", f"-j{jobs()}"),
        f"CC={_ccache()}gcc",
        f"HOSTCC={_ccache()}gcc",
        f"KCFLAGS={maps}",
        f"LOCALVERSION=-{job.request.variant.name}",
        *targets,
    ]


def _build_tools(job: Job) -> None:
    """Build libbpf and bpftool from the product's tree."""
    log = fresh(job.log("tools"))
    out = job.paths.root / "bpftool"
    out.mkdir(parents=True, exist_ok=True)
    job.libbpf.mkdir(parents=True, exist_ok=True)
    command = [
        *("make", "-C", str(job.trees.tree.path / "tools/bpf/bpftool"), f"-j{jobs()}"),
        f"CC={_ccache()}gcc",
        f"HOSTCC={_ccache()}gcc",
        f"OUTPUT={out}/",
        f"LIBBPF_OUTPUT={job.libbpf}/",
        f"LIBBPF_DESTDIR={job.libbpf}/",
        f"VMLINUX_BTF={job.btf}",
    ]
    with watching(f"{job.request.variant.name}: libbpf and bpftool", log) as tick:
        run_make(job, "bpftool", command, log, tick)
    install(out / "bpftool", job.paths.bin / "bpftool")


def selftests(job: Job, tests: Sequence[str], extras: Sequence[str] = ()) -> None:
    """Build selftests of the job's `tree` into one program.

    Args:
        job: where from and where to.
        tests: the files of prog_tests/, without their .c.
        extras: what the tests start besides, to lie beside the program.
    """
    if not tests:
        say(f"{job.request.variant.name}: the series brings no selftests")
        job.paths.runner.unlink(missing_ok=True)
        return
    log = fresh(job.log("selftests"))
    out = job.paths.root / "selftests"
    out.mkdir(parents=True, exist_ok=True)
    command = [
        *("make", "-C", str(RUNNER), f"-j{jobs()}"),
        f"CC={_ccache()}gcc",
        f"KSRC={job.trees.tree.path}",
        f"VMLINUX={job.btf}",
        f"BPFTOOL={job.paths.bin / 'bpftool'}",
        f"LIBBPF={job.libbpf}",
        f"CLANG={_ccache()}clang",
        f"OUT={out}",
        f"TESTS={' '.join(tests)}",
        f"EXTRAS={' '.join(extras)}",
    ]
    with watching(f"{job.request.variant.name}: selftests", log) as tick:
        run_make(job, "selftests", command, log, tick)
    for name in (job.paths.runner.name, *extras):
        install(out / name, job.paths.bin / name)


def _tests(trees: tree.Trees) -> tuple[str, ...]:
    """The C selftests that the series adds, edits not yet committed included."""
    base = trees.state.base
    paths = {*series.created(trees.tree, base, trees.tree.head), *trees.tree.changes()}
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


def run_make(
    job: Job,
    what: str,
    command: Sequence[str],
    log: Path,
    tick: Callable[[], None] | None = None,
) -> None:
    """Run one make; when it fails, say why in one sentence.

    Raises:
        BuildError: a source file was refused.
        InfraError: the disk is full.
    """
    done = proc.run(
        command, env=_environment(job), log=log, timeout=_TIMEOUT, tick=tick, check=None
    )
    if done.ok:
        return
    text = log.read_text(encoding="utf-8", errors="replace")
    if _NO_SPACE.search(text):
        raise InfraError(f"the disk is full: the {what} of {job.request.variant.name} ({log}).")
    errors = first_errors(text) or (done.why,)
    raise BuildError(
        f"the {what} of {job.request.variant.name} did not build (log: {log}):\n  "
        + "\n  ".join(errors)
    )


def _environment(job: Job) -> dict[str, str]:
    """The variables that make a build repeatable, and ccache independent of folders."""
    return {
        "PATH": packages.search_path(),
        "LC_ALL": "C",
        "KBUILD_BUILD_TIMESTAMP": "2024-11-17 22:15:08 +0000",
        "KBUILD_BUILD_USER": "krsi",
        "KBUILD_BUILD_HOST": "localhost",
        "KBUILD_BUILD_VERSION": "1",
        "CCACHE_BASEDIR": str(job.request.build),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_COMPILERCHECK": "content",
    }


def jobs() -> int:
    """How many processors we may use."""
    return len(os.sched_getaffinity(0))


def _ccache() -> str:
    return "ccache " if proc.which("ccache", packages.search_path()) else ""


def _tool(name: str) -> str:
    """The place of a tool on our children's PATH.

    Raises:
        InfraError: there is none.
    """
    found = proc.which(name, packages.search_path())
    if found is None:
        raise InfraError(f"{name}: no such command.")
    return str(found)


def _write_manifest(job: Job, seconds: float) -> None:
    state = job.trees.state
    old = _load(job.paths.manifest).get("seconds")
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
        "seconds": {
            **(old if isinstance(old, dict) else {}),
            **_rounded(job.times),
            "total": round(seconds, 1),
        },
    }
    replace(job.paths.manifest, (json.dumps(manifest, indent=2) + "\n").encode())


def _rounded(times: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 1) for name, seconds in times.items()}


def _load(path: Path) -> dict[str, object]:
    """A JSON object from a file; empty when there is none."""
    if not path.exists():
        return {}
    loaded = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict):
        raise InfraError(f"{path} is damaged: delete it.")
    return loaded


def _save(path: Path, content: Mapping[str, object]) -> None:
    replace(path, (json.dumps(content, indent=2) + "\n").encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def install(path: Path, place: Path) -> None:
    """Copy a program so that nobody ever sees half of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(place.name + ".new")
    shutil.copy2(path, fresh)
    fresh.replace(place)


def fresh(log: Path) -> Path:
    """An empty log, its folder made."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    return log
