"""git, with an environment that makes the same input give the same commit everywhere.

No configuration of the machine or the user is read, no hook is run, the committer and the dates
are fixed. A developer's own commits in build/tree are made with their own git and untouched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import InfraError, KrsiError

#: The committer of everything the harness commits, and the date of the base (a fixed one).
IDENTITY: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": "KRSI harness",
    "GIT_AUTHOR_EMAIL": "krsi@localhost",
    "GIT_AUTHOR_DATE": "2024-11-17T22:15:08+0000",
    "GIT_COMMITTER_NAME": "KRSI harness",
    "GIT_COMMITTER_EMAIL": "krsi@localhost",
    "GIT_COMMITTER_DATE": "2024-11-17T22:15:08+0000",
}
ENVIRONMENT: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ADVICE": "0",
    "LC_ALL": "C",
    "TZ": "UTC",
}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=true",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "am.threeWay=false",
    "apply.whitespace=nowarn",
    "diff.algorithm=myers",
    "diff.renames=true",
    "advice.detachedHead=false",
)
_TIMEOUT = 900.0


def command(*args: str | Path) -> list[str]:
    """The git command line with our settings; wants `ENVIRONMENT` and an identity besides. Pure."""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    return ["git", *settings, *map(str, args)]


@dataclass(frozen=True)
class Repo:
    """A git repository, or one of its linked working trees.

    Attributes:
        path: its working tree.
    """

    path: Path

    def run(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        check: type[KrsiError] | None = InfraError,
    ) -> proc.Result:
        """Run one git command in the working tree.

        Raises:
            KrsiError: of the class `check`, if git failed; never when it is None.
        """
        return proc.run(
            command(*args),
            cwd=self.path,
            env={**ENVIRONMENT, **IDENTITY, **(env or {})},
            stdin=stdin,
            timeout=_TIMEOUT,
            check=check,
        )

    def out(self, *args: str | Path, env: Mapping[str, str] | None = None) -> str:
        """What one git command prints, without the last newline."""
        return self.run(*args, env=env).stdout.rstrip("\n")

    def commit(self, name: str) -> str | None:
        """The full hash of the commit that `name` stands for, or None."""
        found = self.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=None)
        return found.stdout.strip() if found.ok else None

    @property
    def exists(self) -> bool:
        """A repository or a linked working tree lies here."""
        return (self.path / ".git").exists()

    @property
    def git_dir(self) -> Path:
        """The folder of the repository itself, shared by all its working trees."""
        return (self.path / self.out("rev-parse", "--git-common-dir")).resolve()

    @property
    def head(self) -> str:
        """The full hash of the commit that is checked out."""
        return self.out("rev-parse", "--verify", "HEAD^{commit}")

    def changes(self) -> tuple[str, ...]:
        """The paths that differ from HEAD or are new, sorted; ignored files are not seen."""
        listing = self.run(
            "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"
        ).stdout
        return tuple(sorted(entry[3:] for entry in listing.split("\0") if entry))
