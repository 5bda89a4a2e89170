"""The small TOML file that says which machines and addresses there are. See ../example.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
#: What TOML has for the types of the fields below; a whole number is a fraction, too.
_IN_TOML: Mapping[Any, str] = {str: "str", int: "int", bool: "bool", float: "float int"}


class SettingsError(Exception):
    """The file is wrong; one sentence that names the place."""


@dataclass(frozen=True)
class Project:
    """Whose tests are run.

    Attributes:
        repository: what `git clone` takes.
        branch: which branch is watched.
        poll: seconds between two looks at it.
    """

    repository: str
    branch: str = "main"
    poll: int = 60


@dataclass(frozen=True)
class Master:
    """The one process that hands out the work.

    Attributes:
        listen: where workers connect, as Twisted writes it.
        url: what mails call it by.
        title: its name.
    """

    listen: str = "tcp:9989"
    url: str = "http://localhost:8010/"
    title: str = "KRSI"


@dataclass(frozen=True)
class Worker:
    """A machine that builds and boots."""

    name: str
    password: str


@dataclass(frozen=True)
class Mail:
    """Who hears of results, and through whom.

    Attributes:
        sender: the From of each mail.
        to: who gets each mail.
        server: the mail server.
        port: its port.
        tls: it must speak TLS.
        user: the name for it; empty for none.
        password: likewise.
        reply: whoever has sent a series gets the answer, too.
    """

    sender: str
    to: tuple[str, ...]
    server: str = "localhost"
    port: int = 25
    tls: bool = False
    user: str = ""
    password: str = ""
    reply: bool = False


@dataclass(frozen=True)
class Maildir:
    """Where series arrive; the mail server delivers there.

    Attributes:
        path: the maildir.
        poll: seconds between two looks at it.
        patience: seconds after which a series is tested although mails of it are missing.
        on: what series are put on, `base` or `krsi`.
        limit: bytes that the mails of one series may have.
    """

    path: str
    poll: int = 30
    patience: int = 3600
    on: str = "base"
    limit: int = 20_000_000


@dataclass(frozen=True)
class Tests:
    """How the work is done.

    Attributes:
        smoke: the test that a kernel must pass before it is handed out to all workers.
        hours: after which a step without an end is ended.
    """

    smoke: str = "lsm_attach"
    hours: float = 6.0


@dataclass(frozen=True)
class Settings:
    """All that the file says."""

    project: Project
    master: Master
    workers: tuple[Worker, ...]
    mail: Mail
    maildir: Maildir | None
    tests: Tests


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        SettingsError: it cannot be read, something is missing, or nobody knows a name in it.
    """
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, SettingsError) as error:
        raise SettingsError(f"{path}: {error}") from error


def parse(content: Mapping[str, Any]) -> Settings:
    """Make sense of what the file says.

    Raises:
        SettingsError: something is missing, or nobody knows a name in it.
    """
    unknown = set(content) - {"project", "master", "workers", "mail", "maildir", "tests"}
    if unknown:
        raise SettingsError(f"nobody knows [{min(unknown)}]")
    workers = tuple(_section(Worker, each, "workers") for each in content.get("workers", ()))
    if not workers:
        raise SettingsError("there is no [[workers]]")
    if len({worker.name for worker in workers}) != len(workers):
        raise SettingsError("two [[workers]] have the same name")
    maildir = content.get("maildir")
    return Settings(
        _section(Project, content.get("project", {}), "project"),
        _section(Master, content.get("master", {}), "master"),
        workers,
        _section(Mail, content.get("mail", {}), "mail"),
        None if maildir is None else _section(Maildir, maildir, "maildir"),
        _section(Tests, content.get("tests", {}), "tests"),
    )


def _section(kind: type[T], content: Mapping[str, Any], name: str) -> T:
    """One table of the file as the dataclass `kind`; types are those of the defaults."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type] # T is one
    for key, value in content.items():
        if key not in known:
            raise SettingsError(f"[{name}] nobody knows {key}")
        if type(value).__name__ not in _IN_TOML.get(known[key].type, "list").split():
            raise SettingsError(f"[{name}] {key} cannot be {value!r}")
    for key, field in known.items():
        if field.default is MISSING and key not in content:
            raise SettingsError(f"[{name}] {key} is missing")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}
    return kind(**values)
