"""Small stand-ins for the real things, shared by the tests of the build side."""

from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.model import VARIANTS
from harness.trees import source, tree
from harness.trees.git import Repo

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION =\nNAME = Test\n"
LINES = "".join(f"line {number}\n" for number in range(1, 31))
FILES = {
    "Makefile": MAKEFILE,
    ".gitignore": "*.o\n",
    "forced.o": "a base file that .gitignore names\n",
    "security/security.c": LINES,
    "security/bpf/hooks.c": "old hooks\n",
    "kernel/bpf/verifier.c": LINES,
    "kernel/bpf/helpers.c": "BTF_ID(func, of_base)\n",
}
DEVELOPER = {
    "GIT_AUTHOR_NAME": "Ada Developer",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Developer",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2025-02-03T04:05:06+0100",
    "GIT_COMMITTER_DATE": "2025-02-03T04:05:06+0100",
}
REMOVAL = "bpf: Remove the old LSM"


def write_tree(folder: Path, files: dict[str, str]) -> Path:
    """Lay files out below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def quiet(text: str) -> None:
    """Say nothing."""
    del text


@dataclass(frozen=True)
class Project:
    """A project with a tiny kernel."""

    root: Path

    @property
    def patches(self) -> Path:
        return self.root / "kernel-patches"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def repo(self) -> Repo:
        return Repo(self.build / "tree")

    @property
    def src(self) -> Path:
        return self.root / "src"

    @classmethod
    def make(cls, root: Path) -> "Project":
        project = cls(root)
        project.patches.mkdir()
        write_tree(project.src, FILES)
        return project

    def prepare(self, variant: str = "krsi", said: list[str] | None = None) -> tree.Trees:
        return tree.prepare(
            VARIANTS[variant],
            source.locate(str(self.src)),
            quiet if said is None else said.append,
            build=self.build,
            folder=self.patches,
        )

    def commit(self, subject: str, files: dict[str, str | None], body: str = "Because.") -> str:
        """Commit an edit to build/tree as a developer would; None deletes."""
        for name, text in files.items():
            if text is None:
                (self.repo.path / name).unlink()
            else:
                write_tree(self.repo.path, {name: text})
        self.repo.run("add", "--all")
        self.repo.run("commit", "--quiet", "-m", f"{subject}\n\n{body}", env=DEVELOPER)
        return self.repo.head

    def develop(self) -> None:
        """Commit a series of three patches to build/tree: removal, module, selftest."""
        self.prepare()
        self.commit(REMOVAL, {"security/bpf/hooks.c": None})
        self.commit(
            "bpf, lsm: Build it anew",
            {
                "security/bpf/hooks.c": "new hooks\n",
                "security/security.c": LINES.replace("line 9\n", "line nine\n"),
            },
        )
        prog = "tools/testing/selftests/bpf/prog_tests/lsm_attach.c"
        self.commit("selftests/bpf: Test — it", {prog: "test\n"})
        (self.patches / "removal").write_text(f"# how it begins\n{REMOVAL}\n", encoding="utf-8")


def fake_tool(folder: Path, name: str, script: str) -> Path:
    """A shell script that stands in for a command."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def git(folder: Path, *words: str) -> str:
    """git as a developer runs it."""
    return proc.run(["git", *words], cwd=folder, env=DEVELOPER).stdout.strip()
