"""What a person sees while a phase runs: a live line on a terminal, a plain line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.verdicts import files

#: Seconds between two plain lines where there is no terminal.
PERIOD = 30.0
_TAIL = 4096


def say(text: str) -> None:
    """One plain line for the person who waits."""
    print(text, flush=True)


@contextmanager
def watching(phase: str, log: Path, period: float = PERIOD) -> Iterator[Callable[[], None]]:
    """Show how `phase` gets on, by what it appends to `log`.

    Yields:
        The function to call every now and then while the phase runs.
    """
    from rich.console import Console  # noqa: PLC0415 - takes longer to load than most commands
    from rich.markup import escape  # noqa: PLC0415 - likewise

    started = time.monotonic()
    console = Console(stderr=False)
    if console.is_terminal:
        with console.status(escape(f"{phase} …")) as status:

            def show() -> None:
                line = last_line(log)[: max(20, console.width - 30)]
                status.update(f"{phase} [dim]{_clock(started)}  {escape(line)}[/dim]")

            yield show
    else:
        printed = started

        def show() -> None:
            nonlocal printed
            if time.monotonic() - printed >= period:
                printed = time.monotonic()
                say(f"{phase} {_clock(started)}  {last_line(log)}")

        yield show
    say(f"{phase}: {_clock(started)}")
    sys.stdout.flush()


def last_line(log: Path) -> str:
    """The last line of a growing file, harmless to a terminal; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return " ".join(files.text(lines[-1].encode()).split()) if lines else ""


def _clock(started: float) -> str:
    seconds = round(time.monotonic() - started)
    return f"{seconds // 60}:{seconds % 60:02}"
