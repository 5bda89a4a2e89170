"""What compilers and checkers say, and what of it is not said about the base.

Shared by the build matrix (matrix.py), the check of each prefix of the series (prefix.py) and
the static checks (static.py), which decide what is compiled and with what.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.kernel import kmake
from harness.progress import watching

#: What make is told for sparse. Without the limit, which of many warnings are shown depends on how
#: many come before.
SPARSE_WORDS = ("C=1", "CF=-fmax-warnings=unlimited")

#: gcc, clang, sparse and kernel-doc agree on this much.
_SAID = re.compile(r"^(?P<path>[^\s:]+):\d+(?::\d+)?: (?:warning|error): (?P<text>.+)$")
#: objtool, the linkers, modpost and resolve_btfids speak of what was linked.
_LINK = re.compile(
    r"^(?P<path>\S+\.o): warning: (?P<objtool>objtool: .+)$"
    r"|^\S*\bld(?:\.lld)?: warning: (?P<ld>.+)$"
    r"|^WARN(?:ING)?:? (?P<tool>(?:modpost|resolve_btfids): .+)$"
)
_COMPILED = re.compile(r"^ +CC +(?:\[M\] +)?(\S+\.o)$", re.MULTILINE)
#: Positions that shift when lines or instructions are added above.
_PLACE = re.compile(r"\+0x[0-9a-f]+|:\d+:\d+")


@dataclass(frozen=True)
class Complaint:
    """Something that a compiler or a checker says.

    Attributes:
        path: the file it is about, at its kernel path; or of what was linked.
        text: what is said, without positions.
        line: the line as printed; two complaints are the same without it.
        linked: it is about what was linked, not about a source file.
    """

    path: str
    text: str
    line: str = field(compare=False)
    linked: bool = False


def scan(log: str, roots: Iterable[str]) -> tuple[Complaint, ...]:
    """Everything that a build log complains of.

    Args:
        log: its text.
        roots: what the path of a source file may begin with, to be cut off.
    """
    found = []
    prefixes = [f"{root.rstrip('/')}/" for root in roots]
    for line in map(str.strip, log.splitlines()):
        if match := _LINK.match(line):
            text = match["objtool"] or match["ld"] or match["tool"]
            found.append(Complaint(match["path"] or "", _PLACE.sub("", text), line, linked=True))
        elif match := _SAID.match(line):
            path = match["path"]
            for prefix in prefixes:
                path = path.removeprefix(prefix)
            found.append(Complaint(path, _PLACE.sub("", match["text"]), line))
    return tuple(found)


def compiled(log: str) -> tuple[str, ...]:
    """The object files that were compiled from C, by a build log."""
    return tuple(_COMPILED.findall(log))


def added(ours: Iterable[Complaint], base: Iterable[Complaint]) -> tuple[Complaint, ...]:
    """The complaints that are not made as often about the base."""
    left = Counter(base)
    new = []
    for complaint in ours:
        if left[complaint]:
            left[complaint] -= 1
        else:
            new.append(complaint)
    return tuple(new)


def of_log(kernel: kmake.Kernel, log: Path) -> tuple[Complaint, ...]:
    """Everything that a log of building `kernel` complains of."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return scan(text, roots(kernel))


def roots(kernel: kmake.Kernel) -> tuple[str, ...]:
    """What the path of a source file may begin with in a log of building `kernel`. Pure."""
    return (str(kernel.src), os.path.relpath(kernel.src, kernel.out), ".")


def forget(kernel: kmake.Kernel, log: Path) -> None:
    """Delete what an earlier attempt, which left `log`, made with a warning.

    Made again, it is said again: a warning must not go away by itself.
    """
    if not log.exists() or not of_log(kernel, log):
        return
    text = log.read_text(encoding="utf-8", errors="replace")
    for name in (*compiled(text), "vmlinux.o", "vmlinux"):
        (kernel.out / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Review:
    """The files that the series touches, compiled once more, pickier.

    Attributes:
        kernel: what was built from them.
        touched: their paths.
        base: makes the same kernel of the base, configured; only asked for when there is a need.
        log: where the log of a phase goes.
        sparse: sparse reads them, too.
    """

    kernel: kmake.Kernel
    touched: tuple[str, ...]
    base: Callable[[], kmake.Kernel]
    log: Callable[[str], Path]
    sparse: bool = False

    def new(self) -> tuple[Complaint, ...]:
        """What is said about the touched files with W=1, and not about the base."""
        objects = [
            name for name in map(object_of, self.touched) if name and self._built(name).is_file()
        ]
        ours = self._said(self.kernel, objects, "warnings")
        if not ours:
            return ()
        base = self.base()
        known = [name for name in objects if _source(base.src, name).is_file()]
        return added(ours, self._said(base, known, "base"))

    def _built(self, name: str) -> Path:
        return self.kernel.out / name

    def _said(
        self, kernel: kmake.Kernel, objects: Sequence[str], phase: str
    ) -> tuple[Complaint, ...]:
        if not objects:
            return ()
        for name in objects:
            (kernel.out / name).unlink(missing_ok=True)
        log = self.log(phase)
        picky = ("W=1", *(SPARSE_WORDS if self.sparse else ()))
        with watching(f"{kernel.name}: {phase}", log) as tick:
            kernel.make(phase, log, *picky, *objects, tick=tick)
        return tuple(
            each
            for each in of_log(kernel, log)
            if each.path in self.touched or (each.linked and each.path in objects)
        )


def object_of(path: str) -> str | None:
    """The object file that a source file is compiled to."""
    name = PurePosixPath(path)
    return str(name.with_suffix(".o")) if name.suffix in (".c", ".S") else None


def _source(src: Path, name: str) -> Path:
    """The C file that an object file is compiled from."""
    return (src / name).with_suffix(".c")
