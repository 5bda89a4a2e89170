"""What `make bench` does: build, boot, count, and leave the figures behind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import packages, proc, report
from harness.bench import compare, machine, page, plan, plots, record, size, tables, trace
from harness.bench.machine import Kernel
from harness.bench.record import Measured, Record
from harness.errors import BuildError, UsageError
from harness.kernel import build, kmake
from harness.machine import accel, initramfs
from harness.model import ROOT, BuildPaths
from harness.progress import say

SOURCES = ROOT / "bench"
RESULTS = ROOT / "build/bench"
DOCUMENT = ROOT / "docs/BENCH.md"
#: What is compared when nobody says otherwise: the floor, the peer and the product.
DEFAULT = ("none", "upstream", "krsi")
#: How often all kernels take their turn where there are nanoseconds.
ROUNDS = 5


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        variants: which kernels.
        patterns: which cases; all when empty.
        kernel_src: KERNEL_SRC; None for Debian's package.
        baseline: an older bench.json to compare with.
        build: whether to build what is missing or out of date.
        accel: who executes what is measured in nanoseconds; see accel.choose().
        folder: where the kernels lie.
    """

    variants: tuple[str, ...] = DEFAULT
    patterns: tuple[str, ...] = ()
    kernel_src: str | None = None
    baseline: Path | None = None
    build: bool = True
    accel: str = "auto"
    folder: Path = ROOT / "build"


def run(request: Request) -> int:
    """Measure, show and keep. Returns 1 if a case is missing or worse than the baseline's.

    Raises:
        UsageError: an unknown variant or case, or a baseline that cannot be read.
        BuildError: something did not compile.
        InfraError: QEMU is missing, or the disk is full.
    """
    boots = plan.boots(request.patterns)
    old = record.read(request.baseline) if request.baseline else None
    kernels = [_kernel(request, name) for name in request.variants]
    results = report.new_folder(RESULTS)
    measured = [_measure(kernel, boots, request, results) for kernel in kernels]
    measured = _nanoseconds(request, kernels, measured, boots, results)
    found = Record(datetime.now(UTC).isoformat(timespec="seconds"), _qemu(), tuple(measured))
    return _leave(found, old, results)


def listing(request: Request, call: str, state: str) -> None:
    """Write down what one call executes on each kernel: build/bench/listing/VARIANT/….txt.

    Raises:
        UsageError: there is no such call or state.
        BuildError: something did not compile.
        InfraError: QEMU is missing, or the machine ended early.
    """
    if call not in plan.CALLS or state not in plan.STATES:
        raise UsageError(f"there is no case {call}/{state}; `bench --list` shows them all.")
    for name in request.variants:
        kernel = _kernel(request, name)
        folder = RESULTS / "listing" / name
        folder.mkdir(parents=True, exist_ok=True)
        paths = BuildPaths.of(name, request.folder)
        found = trace.listing(trace.Request(kernel, paths, call, state), folder)
        say(f"{found.relative_to(ROOT)}: {found.read_text('utf-8').splitlines()[0]}")


def document(source: Path) -> None:
    """Make docs/BENCH.md from a bench.json.

    Raises:
        UsageError: it cannot be read.
    """
    DOCUMENT.parent.mkdir(exist_ok=True)
    kmake.replace(DOCUMENT, page.markdown(record.read(source)).encode())
    say(f"{DOCUMENT.relative_to(ROOT)}: made from {source}")


def interleaved(kernels: Sequence[Kernel], rounds: int) -> tuple[Kernel, ...]:
    """Each kernel once a round, so that what the host does meanwhile befalls all. Pure."""
    return tuple(kernel for _ in range(rounds) for kernel in kernels)


def _kernel(request: Request, name: str) -> Kernel:
    """Something to boot: the kernel, built if need be, and an initramfs for it."""
    variant = build.variant_named(name)
    if request.build:
        paths = build.kernel(build.Request(variant, request.kernel_src, request.folder))
    else:
        packages.ensure((*packages.KERNEL, *packages.VM), say)
        paths = BuildPaths.of(name, request.folder)
    for path in (paths.bzimage, paths.vmlinux, paths.btf):
        if not path.exists():
            raise BuildError(f"{path} is missing: run 'make kernel VARIANT={name}'")
    folder = paths.root / "bench"
    programs = machine.build(paths, folder, SOURCES)
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(programs, machine.FOLDERS))
    return Kernel(name, paths.bzimage, initrd)


def _measure(
    kernel: Kernel, boots: Sequence[plan.Boot], request: Request, results: Path
) -> Measured:
    """Count instructions on one kernel."""
    paths = BuildPaths.of(kernel.variant, request.folder)
    cases: dict[str, record.Case] = {}
    problems: list[str] = []
    for number, boot in enumerate(boots, start=1):
        say(f"{kernel.variant}: {boot.name} ({number}/{len(boots)})")
        reported = machine.measure("tcg", kernel, boot, results / kernel.variant)
        cases |= reported.cases
        problems += reported.problems
        for problem in reported.problems:
            say(f"    {problem}")
    return Measured(
        kernel.variant,
        report.read_manifest(paths),
        size.of(paths.vmlinux),
        cases,
        tuple(problems),
    )


def _nanoseconds(
    request: Request,
    kernels: Sequence[Kernel],
    measured: Sequence[Measured],
    boots: Sequence[plan.Boot],
    results: Path,
) -> list[Measured]:
    """Add nanoseconds where KVM runs: each call, all kernels in turn, several times."""
    answer = accel.choose(request.accel, kernels[0].bzimage)
    say(f"nanoseconds: {answer if answer.accel == 'kvm' else f'none, {answer}'}")
    if answer.accel != "kvm":
        return list(measured)
    found: dict[str, dict[str, list[float]]] = {kernel.variant: {} for kernel in kernels}
    problems: dict[str, list[str]] = {kernel.variant: [] for kernel in kernels}
    for number, kernel in enumerate(interleaved(kernels, ROUNDS)):
        folder = results / f"{kernel.variant}-kvm-{number // len(kernels) + 1}"
        for boot in boots:
            if boot.words[0] != "call":
                continue
            reported = machine.measure("kvm", kernel, boot, folder)
            problems[kernel.variant] += reported.problems
            for name, case in reported.cases.items():
                if case.cost is not None:
                    found[kernel.variant].setdefault(name, []).append(case.cost)
    return [
        replace(
            each,
            nanoseconds={name: tuple(values) for name, values in found[each.variant].items()},
            problems=(*each.problems, *problems[each.variant]),
        )
        for each in measured
    ]


def _qemu() -> str:
    """QEMU's name and version."""
    said = proc.run(["qemu-system-x86_64", "--version"], timeout=60)
    return " ".join(said.stdout.splitlines()[0].split()[:4])


def _leave(found: Record, old: Record | None, results: Path) -> int:
    """Show everything and write it down. Returns the exit status."""
    changes = compare.changes(old, found) if old else ()
    gone = compare.vanished(old, found) if old else ()
    compared = (tables.change_table(changes),) if old else ()
    kmake.replace(results / "bench.json", record.to_json(found).encode())
    drawn = plots.plots(found)
    for name, svg in drawn.items():
        (results / name).write_text(svg, "utf-8")
    (results / "report.html").write_text(page.html(found, drawn, compared), "utf-8")
    report.point_to_latest(results)
    for table in (*tables.all_tables(found), *compared):
        say("\n" + table.text())
    for line in (*tables.unsteady_notes(found), *found.problems, *gone):
        say(line)
    worse = [change for change in changes if change.worse]
    say(f"report: {results.relative_to(ROOT)}/report.html")
    return 1 if found.problems or worse or gone else 0


def variants(words: str) -> tuple[str, ...]:
    """The kernels named in VARIANTS.

    Raises:
        UsageError: there is no such variant.
    """
    names = tuple(dict.fromkeys(words.replace(",", " ").split())) or DEFAULT
    return tuple(build.variant_named(name).name for name in names)
