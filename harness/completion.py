"""What a shell knows of our command lines: completion by shtab, man pages by argparse-manpage."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

import shtab
from build_manpages.manpage import Manpage

from harness.model import ROOT, VARIANTS
from harness.run import options, selftests

MAN = ROOT / "build/man"


def script(shell: str) -> str:
    """The completion of ./run_tests.py for bash or zsh."""
    parser = options.parser()
    tests = selftests.discover()
    words = {
        "names": [item.name for test in tests for item in test.items],
        "kernel": list(VARIANTS),
    }
    for action in parser._actions:  # noqa: SLF001 - as shtab itself does
        if action.dest in words:
            function = f"_krsi_{action.dest}"
            action.complete = {"bash": function, "zsh": function}  # type: ignore[attr-defined]
    made = "\n".join(_function(shell, f"_krsi_{name}", each) for name, each in words.items())
    preamble: Any = {shell: made}  # its annotation says str
    return str(shtab.complete(parser, shell=shell, preamble=preamble))


def _function(shell: str, name: str, words: list[str]) -> str:
    """A shell function that offers words."""
    every = " ".join(words)
    offer = f'compgen -W "{every}" -- "$1"' if shell == "bash" else f"compadd -- {every}"
    return f"{name}() {{ {offer}; }}"


def pages(parsers: dict[str, argparse.ArgumentParser], folder: Path = MAN) -> list[Path]:
    """Write a man page for each command; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, parser in parsers.items():
        path = folder / f"{name}.1"
        path.write_text(page(name, parser), "utf-8")
        files.append(path)
    return files


def page(name: str, parser: argparse.ArgumentParser) -> str:
    """The man page of a command; the lines of an epilog, as those of a table, stay lines."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    sections = parser.epilog or ""
    parser.epilog = None
    about = {"project_name": "KRSI", "prog": name, "description": parser.description or name}
    made = str(Manpage(parser, _data=about))
    escaped = sections.replace("\\", "\\e").replace("-", "\\-")
    lines = [re.sub(r"^([.'])", r"\\&\1", line) for line in escaped.splitlines()]
    return "\n".join([made.rstrip(), ".SH NOTES", ".nf", *lines, ".fi", ""])
