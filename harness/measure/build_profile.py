"""Which directories of a build cost most: what each call of a compiler took.

ccache runs the compiler through a command of the user's choice (CCACHE_PREFIX). Ours is a few
lines of shell that note the processor time of the compiler and the file it wrote. Only what is
really compiled passes through it, so a build with an empty ccache is seen whole. What it does not
see is ccache itself, the linker, pahole and objtool.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

PROBES = "(the compiler's probes)"
"""What is compiled to find out what the compiler can do: its output is thrown away."""

_WRAPPER = """\
#!/bin/sh
# Run a compiler; note its folder, the file it writes, and what `times` says of it.
"$@"
status=$?
out= last=
for word; do
	[ "$last" = -o ] && out=$word
	last=$word
done
{ printf '%s\\t%s\\n' "$PWD" "$out"; times; } >>"$KRSI_PROFILE/$$"
exit $status
"""
_RECORD = re.compile(r"^(?P<cwd>.*)\t(?P<out>.*)\n.*\n(?P<user>\S+) (?P<system>\S+)$", re.MULTILINE)
_TIME = re.compile(r"(\d+)m([\d.]+)s")


@dataclass(frozen=True)
class Compilation:
    """One call of a compiler.

    Attributes:
        output: the file it wrote, absolute; None when it wrote none.
        seconds: of processor time, to a hundredth.
    """

    output: PurePath | None
    seconds: float


@dataclass(frozen=True)
class Directory:
    """What the files of one directory cost together.

    Attributes:
        name: as in the kernel's tree; what else is built stands in parentheses.
        count: how many calls of a compiler.
        seconds: of processor time.
    """

    name: str
    count: int
    seconds: float


def install(folder: Path) -> dict[str, str]:
    """Make the wrapper and an empty folder for its notes; the variables that put it to use."""
    notes = folder / "notes"
    notes.mkdir(parents=True, exist_ok=True)
    for note in notes.iterdir():
        note.unlink()
    wrapper = folder / "compile"
    wrapper.write_text(_WRAPPER, encoding="utf-8")
    wrapper.chmod(0o755)
    return {"CCACHE_PREFIX": str(wrapper), "KRSI_PROFILE": str(notes)}


def collect(environment: Mapping[str, str]) -> tuple[Compilation, ...]:
    """What the wrapper has noted, given the variables of `install`."""
    notes = sorted(Path(environment["KRSI_PROFILE"]).iterdir())
    return tuple(one for note in notes for one in parse(note.read_text(encoding="utf-8")))


def parse(note: str) -> Iterator[Compilation]:
    """The calls that one file of notes tells of. Pure."""
    for found in _RECORD.finditer(note):
        seconds = sum(
            60 * int(minutes) + float(rest)
            for minutes, rest in _TIME.findall(f"{found['user']} {found['system']}")
        )
        output = PurePath(os.path.normpath(PurePath(found["cwd"]) / found["out"]))
        yield Compilation(output if found["out"] else None, seconds)


def directories(
    calls: Iterable[Compilation], root: PurePath, depth: int | None = None
) -> tuple[Directory, ...]:
    """What each directory cost, the dearest first. Pure.

    Args:
        calls: of a compiler.
        root: the variant's folder, in which the kernel is made below kernel/.
        depth: subdirectories below it count as one; None tells them all apart.
    """
    total: dict[str, tuple[int, float]] = {}
    for call in calls:
        name = _directory(call.output, root, depth)
        count, seconds = total.get(name, (0, 0.0))
        total[name] = count + 1, seconds + call.seconds
    listed = (Directory(name, count, round(sum_, 2)) for name, (count, sum_) in total.items())
    return tuple(sorted(listed, key=lambda one: (-one.seconds, one.name)))


def _directory(output: PurePath | None, root: PurePath, depth: int | None) -> str:
    if output is None or not output.is_relative_to(root):
        return PROBES
    folders = output.relative_to(root).parts[:-1]
    if not folders or any(folder.startswith(".tmp") for folder in folders):
        return PROBES
    if folders[0] != "kernel":
        return f"({folders[0]})"
    return "/".join(folders[1:][:depth]) or "."
