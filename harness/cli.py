"""The command line behind the Makefile: kernel, bench, matrix, series-check, check and so on.

Prints one sentence and exits by the family of what went wrong; see harness/errors.py.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import packages, proc
from harness.checks import check, kunit, matrix, prefixes, proof, static
from harness.errors import INTERRUPTED, InfraError, KrsiError
from harness.kernel import build
from harness.machine import accel
from harness.measure import build_bench
from harness.model import ROOT, VARIANTS
from harness.progress import say
from harness.report import commands as report_commands
from harness.submit import cli as submit
from harness.trees import export
from harness.trees.git import Repo

_BUILD = ROOT / "build"
#: What a caller's make or shell may have set, and would change what we build.
_FOREIGN = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKEFILES", "GNUMAKEFLAGS"),
    *("ARCH", "CROSS_COMPILE", "LLVM", "CFLAGS", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "OUTPUT"),
    *("KCFLAGS", "KCPPFLAGS", "KAFLAGS", "KBUILD_OUTPUT", "KCONFIG_CONFIG", "O", "V", "W", "C"),
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG", "CC", "HOSTCC", "VARIANT"),
)
_EPILOG = """\
examples:
  make kernel                        the product: build/krsi
  make kernel VARIANT=upstream       the peer, to compare with
  make kernel KERNEL_SRC=~/linux     on another 6.12: a folder, a tarball or a git tree
  make patches                       build/tree's commits become kernel-patches/
  ./run_tests.py                     boot what was built and run its selftests

exit status:
  0  done          2  wrong usage or input        4  the machine or a tool failed
  1  a check failed  3  the series or the build failed  130  interrupted

make itself turns every failure into 2; `python3 -m harness …` gives the status itself.
"""

_BENCH_EPILOG = """\
CASE is a call (mprotect), one of its states (mprotect/noop-8), another question (links), or a
shell pattern ('*/idle'); --list shows them all.

A figure is exact and repeats, unless it is marked by ~. With --baseline every figure that changed
is shown; one that a goal speaks of, and that grew on krsi, is worse: by anything where it is exact,
by more than it wavers where it is not, by more than 5 % where it is a time.

exit status, besides those of every command:
  1  a case is missing, or worse than in the baseline. A goal that is missed is no failure.
"""


def main(argv: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    args = _parser().parse_args(argv)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    proc.end_on_signals()
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except KrsiError as error:
        print(f"krsi: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"krsi: {error.strerror}: {error.filename or 'output'}", file=sys.stderr)
        return InfraError.exit_code
    except KeyboardInterrupt:
        print("krsi: interrupted; nothing is left running.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m harness",
        description="Build KRSI: base source, patch series, kernel, tools and selftests.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    kernel = commands.add_parser(
        "kernel",
        help="build one variant into build/<variant>/",
        description="Build one variant: kernel, libbpf, bpftool and the C selftests.",
        epilog="variants:\n"
        + "\n".join(f"  {name:9} {variant.what}" for name, variant in VARIANTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kernel.add_argument("--variant", default="krsi", metavar="NAME", help="default: krsi")
    kernel.add_argument(
        "--build",
        type=Path,
        default=_BUILD,
        metavar="FOLDER",
        help="where sources and results go; default: build",
    )
    kernel.set_defaults(command=_kernel)
    checker = commands.add_parser(
        "check",
        help="lint, types, unit tests, and that the series applies and the views are in step",
    )
    checker.add_argument(
        "--vm", action="store_true", help="instead: break machines and see that it is noticed"
    )
    checker.add_argument(
        "--record", action="store_true", help="with --vm: tests/golden/ becomes what they leave"
    )
    checker.set_defaults(command=_check)
    builds = commands.add_parser(
        "matrix",
        help="build the series in every configuration of configs/matrix.toml",
        description="Link every kernel of configs/matrix.toml, and see what the series' files warn "
        "of. What has not changed since it was well is not built again.",
    )
    builds.add_argument("names", nargs="*", metavar="NAME", help="which builds; default: all")
    builds.add_argument("--list", action="store_true", help="list the builds and stop")
    builds.add_argument(
        "--configure", action="store_true", help="check the configurations, build nothing"
    )
    builds.set_defaults(command=_matrix)
    units = commands.add_parser(
        "kunit",
        help="run the KUnit tests of security/bpf/ in QEMU",
        description="Build a small kernel with the tests in it, boot it and read what it says: all "
        "of it by the kernel's own tools/testing/kunit/kunit.py, with KASAN and lockdep on.",
        epilog="exit status, besides those of every command:\n  1  a test failed, or the kernel "
        "complained",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    units.set_defaults(command=_kunit)
    proven = commands.add_parser(
        "proof",
        help="make docs/PROOF.md from the results of runs",
        description="Add up what test runs of the series as it is have shown, suite by suite, as "
        "docs/proof.toml sorts the tests. Runs of another series, or of one that was being edited, "
        "prove nothing and are left out, which is said.",
    )
    proven.add_argument(
        "results",
        nargs="*",
        type=Path,
        metavar="RESULTS.JSON",
        help="default: those below build/reports/",
    )
    proven.set_defaults(command=_proof)
    timed = commands.add_parser(
        "bench-build",
        help="measure how long builds take, and a machine until its first test",
        description=build_bench.DESCRIPTION,
        epilog=build_bench.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    timed.add_argument("--variant", default="krsi", metavar="NAME", help="default: krsi")
    build_bench.add_options(timed)
    timed.set_defaults(command=build_bench.command)
    patchwise = commands.add_parser(
        "series-check",
        help="build, boot and test each prefix of the series",
        description="Build, boot and test the series up to each of its patches, one on top of the "
        "other. What was well before is not done again: interrupt it whenever you like.",
    )
    patchwise.add_argument("--patches", default="", metavar="N-M", help="as in 6-12,20")
    patchwise.add_argument(
        "--sample", type=int, metavar="N", help="at most so many; which ones, the series decides"
    )
    patchwise.add_argument(
        "--minutes", type=float, metavar="N", help="as many as fit into this time"
    )
    patchwise.set_defaults(command=_series_check)
    silent = commands.add_parser(
        "static",
        help="ask sparse, coccinelle, kernel-doc, sphinx, objtool, gcc, clang; measure stacks",
        description="Ask every tool that reads sources or objects about what the series touches. "
        "What a tool says about the base, too, is not counted.",
    )
    silent.add_argument("names", nargs="*", metavar="CHECK", help="which checks; default: all")
    silent.set_defaults(command=_static)
    for parser_with_base in (kernel, checker, builds, units, timed, patchwise, silent):
        parser_with_base.add_argument(
            "--kernel-src",
            default="",
            metavar="PATH",
            help="a Linux 6.12 as folder, tarball or git tree; default: Debian's package",
        )
    _add_bench(commands)
    report_commands.add(commands)
    patches = commands.add_parser(
        "patches",
        help="export build/tree's commits to kernel-patches/ and refresh the views",
    )
    patches.set_defaults(command=_patches)
    submit.add(commands)
    _add_terminal(commands)
    clean = commands.add_parser("clean", help="delete what was built; build/tree stays")
    clean.set_defaults(command=_clean)
    return parser


def _add_terminal(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What a person at a terminal is helped by."""
    from harness.measure import speed  # noqa: PLC0415 - they bring what nothing else needs

    completed = commands.add_parser(
        "completion",
        help="print the completion of ./run_tests.py for bash or zsh",
        description="Print what a shell needs to complete the options of ./run_tests.py, the names "
        "of tests included.",
        epilog="examples:\n  source <(python3 -m harness completion bash)      in ~/.bashrc\n"
        "  python3 -m harness completion zsh >~/.zfunc/_run_tests.py   where $fpath looks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completed.add_argument("shell", choices=("bash", "zsh"))
    completed.set_defaults(command=_completion)
    manual = commands.add_parser("man", help="write man pages to build/man/")
    manual.set_defaults(command=_man)
    timed = commands.add_parser(
        "speed",
        help="measure ./run_tests.py against a bare vng; make docs/SPEED.md",
        description=speed.DESCRIPTION,
    )
    timed.add_argument("--variant", default="krsi", metavar="NAME", help="default: krsi")
    timed.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    timed.set_defaults(command=_speed)


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="count the instructions that calls take, on several kernels",
        description="Boot each kernel in an emulated machine that counts instructions, and say "
        "what system calls take with nothing attached, with programs, and what attaching takes.",
        epilog=_BENCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("cases", nargs="*", metavar="CASE", help="which cases; default: all")
    bench.add_argument(
        "--variants", default="", metavar="NAMES", help="default: none upstream krsi"
    )
    bench.add_argument(
        "--baseline", default="", metavar="FILE", help="an older bench.json to compare with"
    )
    bench.add_argument(
        "--no-build", action="store_true", help="measure what lies in build/ as it is"
    )
    accel.add_option(
        bench, "whether to measure nanoseconds, too: auto does where KVM works, tcg does not"
    )
    bench.add_argument("--list", action="store_true", help="list the cases and stop")
    bench.add_argument(
        "--doc",
        metavar="FILE",
        nargs="?",
        const="",
        help="make docs/BENCH.md from FILE (default: the latest bench.json), measure nothing",
    )
    bench.add_argument("--kernel-src", default="", metavar="PATH", help="as for kernel")
    bench.set_defaults(command=_bench)
    listing = commands.add_parser(
        "listing",
        help="write down, disassembled, what one call executes",
        description="Boot each kernel, follow one call instruction by instruction, and write down "
        "what it executes: by function, and by block with how often it runs. Nothing interrupts "
        "it, and what runs is what `bench` counts.",
    )
    listing.add_argument(
        "case", nargs="?", default="mprotect/noop-1", help="CALL/STATE; default: mprotect/noop-1"
    )
    listing.add_argument("--variants", default="krsi", metavar="NAMES", help="default: krsi")
    listing.add_argument("--no-build", action="store_true", help="as for bench")
    listing.add_argument("--kernel-src", default="", metavar="PATH", help="as for kernel")
    listing.set_defaults(command=_listing)


def _bench(args: argparse.Namespace) -> int:
    # What it needs for plots takes a second to import.
    from harness.bench import plan, run  # noqa: PLC0415

    if args.list:
        for boot in plan.boots(args.cases):
            for case in boot.cases:
                say(case)
        return 0
    if args.doc is not None:
        run.document(Path(args.doc) if args.doc else run.RESULTS / "latest/bench.json")
        return 0
    request = run.Request(
        variants=run.variants(args.variants),
        patterns=tuple(args.cases),
        kernel_src=args.kernel_src or None,
        baseline=Path(args.baseline) if args.baseline else None,
        build=not args.no_build,
        accel=args.accel,
    )
    return run.run(request)


def _listing(args: argparse.Namespace) -> int:
    from harness.bench import run  # noqa: PLC0415

    request = run.Request(
        variants=run.variants(args.variants),
        kernel_src=args.kernel_src or None,
        build=not args.no_build,
    )
    call, _, state = args.case.partition("/")
    run.listing(request, call, state)
    return 0


def _kernel(args: argparse.Namespace) -> int:
    variant = build.variant_named(args.variant)
    build.kernel(build.Request(variant, args.kernel_src or None, args.build.resolve()))
    return 0


def _completion(args: argparse.Namespace) -> int:
    from harness import completion  # noqa: PLC0415 - shtab is for this only

    print(completion.script(args.shell))
    return 0


def _man(args: argparse.Namespace) -> int:
    from harness import completion  # noqa: PLC0415 - likewise
    from harness.run import options  # noqa: PLC0415 - likewise

    del args
    parsers = {"run_tests.py": options.parser(), "krsi-harness": _parser()}
    for path in completion.pages(parsers):
        say(f"{path}: man -l shows it")
    return 0


def _speed(args: argparse.Namespace) -> int:
    from harness.measure import speed  # noqa: PLC0415

    return speed.run(build.variant_named(args.variant), args.rounds)


def _matrix(args: argparse.Namespace) -> int:
    if args.list:
        for entry in matrix.choose(matrix.listed(), args.names):
            say(f"{entry.name:<20} {entry.what}")
        return 0
    request = matrix.Request(tuple(args.names), args.kernel_src or None, args.configure)
    matrix.run(request)
    return 0


def _kunit(args: argparse.Namespace) -> int:
    return 0 if kunit.run(args.kernel_src or None) else 1


def _proof(args: argparse.Namespace) -> int:
    proof.write(args.results or None)
    return 0


def _series_check(args: argparse.Namespace) -> int:
    request = prefixes.Request(
        patches=args.patches,
        sample=args.sample,
        minutes=args.minutes,
        kernel_src=args.kernel_src or None,
    )
    return 0 if prefixes.run(request) else 1


def _static(args: argparse.Namespace) -> int:
    return 0 if static.run(static.Request(tuple(args.names), args.kernel_src or None)) else 1


def _check(args: argparse.Namespace) -> int:
    if args.vm:
        return 0 if check.run_vm(record=args.record) else 1
    return 0 if check.run(args.kernel_src or None) else 1


def _patches(args: argparse.Namespace) -> int:
    del args
    packages.ensure(packages.CHECK, say)
    with build.exclusive(_BUILD, "sources.lock"):
        count = export.patches(Repo(_BUILD / "tree"))
    say(f"kernel-patches/: {count} patches; the views are in step")
    return 0


def _clean(args: argparse.Namespace) -> int:
    """Delete the built variants and reports; sources, which may hold work, stay."""
    del args
    runs = ("bench", "bench-build", "check-vm", "reports", "series", "shell")
    others = (*runs, "bot", "kunit", "man", "static", "suite")
    gone: list[Path] = [_BUILD / name for name in (*VARIANTS, *others)]
    gone += sorted(_BUILD.glob("matrix-*"))
    with build.exclusive(_BUILD):
        for path in gone:
            if path.exists():
                say(f"deleting {path}")
                shutil.rmtree(path)
    return 0
