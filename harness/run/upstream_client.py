"""The unmodified client: selftests, libbpf and bpftool of the base, built once for all kernels.

It is made for the kernel that it comes with, the variant `upstream`; on every other one it runs as
any program does that was compiled before that kernel existed. Only the test module belongs to one
kernel: its source is the client's, too, and it is built against each.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness import packages
from harness.errors import BuildError
from harness.kernel import fingerprint
from harness.kernel.build import (
    Job,
    Request,
    exclusive,
    install,
    kbuild,
    phase,
    recipe,
    run_make,
    toolchain,
    tools_and_selftests,
)
from harness.kernel.kmake import Stamps, fresh, replace
from harness.model import ROOT, VARIANTS, BuildPaths, Variant
from harness.progress import say, watching
from harness.run import upstream
from harness.trees import tree
from harness.trees.git import Repo

BASE = "upstream"
MODULE = "bpf_testmod"
_NAME = Variant("suite", "none", "the kernel's own selftests")


@dataclass(frozen=True)
class Client:
    """What was built.

    Attributes:
        paths: of the client; its `bin` holds all that the tests need to run.
        modules: the test module of each kernel.
    """

    paths: BuildPaths
    modules: dict[str, Path]


def sources(build: Path = ROOT / "build") -> Path:
    """Where the base lies, unpatched.

    Raises:
        BuildError: it was never checked out.
    """
    folder = build / f"src-{BASE}"
    if not (folder / upstream.FOLDER).is_dir():
        raise BuildError(f"{folder} is missing: run 'make kernel VARIANT={BASE}'")
    return folder


def make(suite: upstream.Suite, variants: Sequence[str], build: Path = ROOT / "build") -> Client:
    """Build what has changed of the client, and of the module for each of the kernels.

    Raises:
        BuildError: a kernel is not built, or something did not compile.
        InfraError: something the machine should have is missing.
    """
    packages.ensure((*packages.KERNEL, *packages.VM, *packages.SUITE), say)
    with exclusive(build), _timed(_NAME.name) as jobs:
        base = sources(build)
        client = job_of(_NAME, build, base)
        jobs.append(client)
        _copy_types(job_of(VARIANTS[BASE], build, base), client)
        tools_and_selftests(client, suite.files, suite.extras)
        modules = {}
        for variant in variants:
            jobs.append(job_of(VARIANTS[variant], build, base))
            modules[variant] = _test_module(jobs[-1], locked=True)
    return Client(client.paths, modules)


@contextmanager
def _timed(name: str) -> Iterator[list[Job]]:
    """Collects jobs, and says how long they took, if they took any time."""
    jobs: list[Job] = []
    yield jobs
    seconds = sum(sum(job.times.values()) for job in jobs)
    if seconds:
        say(f"{name}: built in {seconds:.0f} s")


def add_module(variant: str, build: Path = ROOT / "build") -> None:
    """Put the test module beside the tests of the series; the one that uses it loads it itself.

    A kernel that was built on another machine, and has no sources here, brings it along.

    Raises:
        BuildError: the kernel is not built, or the module did not compile.
    """
    brought = BuildPaths.of(variant, build).bin / f"{MODULE}.ko"
    if brought.is_file() and not (build / "tree").exists():
        return
    with _timed(MODULE) as jobs:
        job = job_of(VARIANTS[variant], build, build / "tree")
        jobs.append(job)
        install(_test_module(job), job.paths.bin / f"{MODULE}.ko")


def _test_module(job: Job, *, locked: bool = False) -> Path:
    origin = job.trees.tree.path / upstream.FOLDER / MODULE
    return module(job, MODULE, origin, "testmod", locked=locked)


def job_of(variant: Variant, build: Path, tools: Path) -> Job:
    """A build of something from sources that `make kernel` has put in place, `tools` being one."""
    state = tree.load(Repo(build / "tree"))
    if state is None:
        raise BuildError(f"there are no sources yet: run 'make kernel VARIANT={BASE}'")
    own = {"all": "tree", "none": f"src-{BASE}"}.get(variant.series, f"src-{variant.name}")
    trees = tree.Trees(state, Repo(tools), Repo(build / own), developed=False)
    paths = BuildPaths.of(variant.name, build)
    return Job(Request(variant, build=build), paths, trees, toolchain())


def _copy_types(base: Job, client: Job) -> None:
    """Give the client the types of its own kernel, touched only when they change."""
    _require_kernel(base)
    types = base.btf.read_bytes()
    if not client.btf.exists() or client.btf.read_bytes() != types:
        replace(client.btf, types)


def _require_kernel(job: Job) -> None:
    for path in (job.paths.bzimage, job.paths.vmlinux, job.btf):
        if not path.exists():
            name = job.request.variant.name
            why = f"kernel '{name}' is not built ({path} is missing)"
            raise BuildError(f"{why}: run 'make kernel VARIANT={name}'")


def module(job: Job, name: str, origin: Path, label: str, *, locked: bool = False) -> Path:
    """Build the module `name` for one kernel, if something has changed.

    Args:
        job: of the kernel.
        name: of the module.
        origin: the folder of its sources.
        label: what its folder, beside the kernel's, and its log are called.
        locked: the caller holds the lock of a build.
    """
    _require_kernel(job)
    out = job.paths.root / label
    product = out / f"{name}.ko"
    key = fingerprint.of_words(
        recipe(job),
        fingerprint.of_folder(origin),
        fingerprint.of_files(job.paths.root, [job.paths.vmlinux, job.paths.kernel / ".config"]),
    )
    # Tests of one kernel run while another one is made, unless the module is to be made first.
    if not (Stamps(job.paths.root / "stamps.json").holds(label, key) and product.exists()):
        with nullcontext() if locked else exclusive(job.request.build):
            phase(job, label, key, [product], lambda: _build_module(job, name, origin, out))
    return product


def _build_module(job: Job, name: str, origin: Path, out: Path) -> None:
    log = fresh(job.log(out.name))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(origin, out)
    symbols = job.paths.kernel / "vmlinux.symvers"
    with watching(f"{job.request.variant.name}: {name}", log) as tick:
        run_make(job, name, kbuild(job, "modules_prepare"), log, tick)
        extra = (f"M={out}", f"KBUILD_EXTRA_SYMBOLS={symbols}")
        run_make(job, name, kbuild(job, *extra, "modules"), log, tick)
