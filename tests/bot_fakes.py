"""A kernel of a few lines, on top of which the bot lays series."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fakes import git, write_tree
from harness import packages
from harness.bot import disk, mail, sandbox, threads, workshop
from harness.bot.answer import Answer
from harness.bot.sandbox import Sandbox
from harness.bot.steps import Steps
from harness.errors import InfraError
from harness.model import VARIANTS
from harness.progress import say
from harness.trees import tree
from harness.trees.git import Repo
from letters import ADA

MAKEFILE = """\
MAKEFLAGS += -r
O ?= .
tinyconfig:
	@mkdir -p $(O); echo CONFIG_TINY=y >$(O)/.config
olddefconfig:
	@:
vmlinux bzImage: $(O)/kernel/one.o $(O)/kernel/two.o
kernel/%.o: $(O)/kernel/%.o
	@:
$(O)/kernel/%.o: kernel/%.c include/all.h
	@mkdir -p $(dir $@)
	@echo "  CC      kernel/$*.o"
	@$(CC) -Iinclude $(if $(W),-Wall -Wextra) -c -o $@ $<
"""
CHECKPATCH = """\
my $bad = 0;
@ARGV = grep { !/^--/ } @ARGV;
while (<>) { if (/^\\+.*BADSTYLE/) { print "$ARGV:$.: ERROR:STYLE: that is bad\\n"; $bad = 1; } }
exit $bad;
"""
FILES = {
    "Makefile": MAKEFILE,
    "include/all.h": "",
    "kernel/one.c": "int one(int unused)\n{\n\treturn 1;\n}\n",
    "kernel/two.c": "int two(void)\n{\n\treturn 2;\n}\n",
    "scripts/checkpatch.pl": CHECKPATCH,
    "Documentation/index": "text\n",
}
ROOM = 64 << 20


@cache
def unavailable() -> str:
    """Why there can be no sandbox here; empty if there can. Root gets what is missing for it."""
    try:
        if os.geteuid() == 0:
            packages.ensure(packages.BOT, say)
        sandbox.require()
    except InfraError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Bench:
    """A project whose kernel is a fake, and somebody who sends patches for it."""

    root: Path
    variant: str = "upstream"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @classmethod
    def make(cls, root: Path, files: dict[str, str] = FILES) -> "Bench":
        bench = cls(root)
        place = write_tree(bench.build / "tree", files)
        git(place, "init", "-q")
        git(place, "add", "-A")
        git(place, "commit", "-q", "-m", "base")
        base = git(place, "rev-parse", "HEAD")
        tree.save(Repo(place), tree.State(base, "6.12.7", None, "", base))
        git(root, "clone", "-q", str(place), "author")
        return bench

    def commit(self, subject: str, files: dict[str, str | None], *, signed: bool = True) -> None:
        """Commit to the author's clone."""
        place = self.root / "author"
        for name, text in files.items():
            if text is None:
                (place / name).unlink()
            else:
                write_tree(place, {name: text})
        trailer = f"\n\nSigned-off-by: {ADA}" if signed else ""
        git(place, "add", "-A", "-f")
        git(place, "commit", "-q", "-m", f"{subject}\n\nBecause.{trailer}", f"--author={ADA}")

    def mails(self) -> list[bytes]:
        """The author's commits, as mails in one thread."""
        out = self.root / "out"
        words = ("format-patch", "-q", "--cover-letter", "--thread=shallow", "-o", str(out))
        git(
            self.root / "author",
            *words,
            "--to=list@example.org",
            "--cc=C <c@example.org>",
            "origin/HEAD",
        )
        return [path.read_bytes() for path in sorted(out.iterdir())]

    def base(self) -> workshop.Base:
        state = tree.load(Repo(self.build / "tree"))
        assert state is not None
        return workshop.Base(
            VARIANTS[self.variant],
            state.version,
            state.base,
            state.base,
            self.build,
            self.build,
            {"CONFIG_A": "y"},
        )

    @contextmanager
    def opened(self, size: int = ROOM) -> Iterator[workshop.Workshop]:
        """A copy of the base in a sandbox."""
        with disk.mounted(self.root / "disk", size) as made:
            yield workshop.Workshop(self.base(), Sandbox(made, sandbox.free_user()))

    def answer(self, mails: list[bytes] | None = None, *, size: int = ROOM) -> Answer:
        """What the bot finds, up to where a kernel would be booted."""
        (series,) = threads.plan(mail.read(self.mails() if mails is None else mails))
        found = Answer.to(series, "base")
        with self.opened(size) as shop:
            NoMachines(found, shop, lambda: "tcg").run()
        return found


class NoMachines(Steps):
    """The checks that need no machine."""

    def _tools(self) -> bool:
        return False
