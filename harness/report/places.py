"""File and line behind the entries of stack traces."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import KrsiError
from harness.kernel import elf
from harness.verdicts.splat import Frame, Splat, frame_of


def annotate(found: Splat, places: Mapping[Frame, str]) -> Splat:
    """The splat with "(file:line)" behind each entry of its trace that has a known place. Pure."""

    def line_of(line: str) -> str:
        frame = frame_of(line.replace("? ", ""))
        place = places.get(frame) if frame else None
        return f"{line} ({place})" if place else line

    return replace(found, lines=tuple(line_of(line) for line in found.lines))


class Resolver:
    """Puts file and line behind the entries of stack traces.

    Whatever goes wrong leaves the trace as the kernel printed it: a splat is never lost because
    its place is unknown.
    """

    def __init__(self, vmlinux: Path) -> None:
        """Nothing is read before the first splat: the tables are large."""
        self._image = elf.Image(vmlinux)

    def __call__(self, found: Splat) -> Splat:
        """The splat with places, as far as they can be found."""
        frames = [frame_of(line.replace("? ", "")) for line in found.lines]
        wanted = list(dict.fromkeys(frame for frame in frames if frame is not None))
        try:
            return annotate(found, self._places(wanted)) if wanted else found
        except (KrsiError, OSError, ValueError):
            return found

    def _places(self, frames: Sequence[Frame]) -> dict[Frame, str]:
        """File and line of each frame whose function is known and unambiguous."""
        addresses = {}
        for frame in frames:
            address = self._image.address(frame.function, frame.offset, frame.size)
            if address is not None:
                # What a trace names is where a call returns to; the call itself lies before.
                addresses[frame] = address - frame.is_return
        lines = self._image.lines(addresses.values())
        return {frame: str(lines[at]) for frame, at in addresses.items() if at in lines}
