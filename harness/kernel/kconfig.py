"""Kernel configurations as text: read fragments, merge them, check what came out.

Pure: nothing here runs a command. A configuration is a mapping from the option's full name
(``CONFIG_…``) to its value as written (``y``, ``m``, ``16``, ``"text"``); ``n`` stands for
``# CONFIG_… is not set``, and an absent option is not set, either.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import BuildError, UsageError

Config = Mapping[str, str]

_SET = re.compile(r'^(CONFIG_\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)\s*$')
_UNSET = re.compile(r"^#\s*(CONFIG_\w+) is not set\s*$")


def parse(text: str, name: str) -> dict[str, str]:
    """Read a fragment or a .config.

    Args:
        text: its contents.
        name: what to call it in a complaint.

    Raises:
        UsageError: a line is neither an option nor a comment, or an option is set twice.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _SET.match(line):
            option, value = match[1], match[2]
        elif match := _UNSET.match(line):
            option, value = match[1], "n"
        elif not line.strip() or line.lstrip().startswith("#"):
            continue
        else:
            raise UsageError(f"{name}:{number}: not a configuration line: {line.strip()!r}.")
        if option in options:
            raise UsageError(f"{name}:{number}: {option} is set twice.")
        options[option] = value
    return options


def read(path: Path) -> dict[str, str]:
    """Read the file at `path`; see parse().

    Raises:
        UsageError: there is no such file, or a line in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such configuration fragment.") from error
    return parse(text, path.name)


def merge(configs: Iterable[Config]) -> dict[str, str]:
    """Lay configurations over each other: a later one wins."""
    merged: dict[str, str] = {}
    for config in configs:
        for option, value in config.items():
            merged.pop(option, None)
            merged[option] = value
    return merged


def render(config: Config) -> str:
    """The text of a .config."""
    return "".join(
        f"# {option} is not set\n" if value == "n" else f"{option}={value}\n"
        for option, value in config.items()
    )


def missing(wanted: Config, got: Config) -> tuple[str, ...]:
    """The requests that were not granted: "CONFIG_X=y (is not set)", in the order asked."""
    return tuple(
        f"{option}={value} (is {_name(got.get(option, 'n'))})"
        for option, value in wanted.items()
        if got.get(option, "n") != value
    )


def require(wanted: Config, got: Config, where: str) -> None:
    """Check that every request was granted.

    Args:
        wanted: what was asked for.
        got: what came out.
        where: whose configuration `got` is, for the sentence.

    Raises:
        BuildError: naming each option that differs.
    """
    lost = missing(wanted, got)
    if lost:
        raise BuildError(f"{where} does not hold what was asked for: {', '.join(lost)}.")


def _name(value: str) -> str:
    return "not set" if value == "n" else value
