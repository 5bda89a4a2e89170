"""The working trees below build/: what lies there, and what may be done to it.

build/tree holds the base and the series; build/src-<variant> are linked working trees of the same
repository for the variants with fewer patches. A developer's work is never lost: a tree that was
edited is built as it lies, and a change that would overwrite work is refused.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from harness.errors import UsageError
from harness.model import ROOT, Variant
from harness.trees import series, source
from harness.trees.git import Repo

Say = Callable[[str], None]
PATCHES = ROOT / "kernel-patches"
BUILD = ROOT / "build"


class Plan(Enum):
    """What to do with a working tree."""

    KEEP = "it is as we made it"
    LIES = "it holds a developer's work: build it as it lies"
    MOVE = "check out another commit"


@dataclass(frozen=True)
class State:
    """What build/tree was last made from.

    Attributes:
        base: the base commit.
        version: the base's version.
        package: version of the Debian package the base is from, if any.
        series: hash of the patches.
        applied: the commit that resulted, or that the patches were exported from.
    """

    base: str
    version: str
    package: str | None
    series: str
    applied: str


@dataclass(frozen=True)
class Trees:
    """The sources of one build.

    Attributes:
        state: what build/tree was made from.
        tree: the product's tree; tools and selftests always come from here.
        kernel: where the variant's kernel is built from.
        developed: a developer has work in `kernel` or `tree`.
    """

    state: State
    tree: Repo
    kernel: Repo
    developed: bool


def plan(recorded: str | None, head: str, *, dirty: bool, moved: bool, what: str) -> Plan:
    """Decide on a working tree.

    Args:
        recorded: the commit we last left there.
        head: the commit that is there now.
        dirty: files differ from `head`.
        moved: what the tree is made from has changed since.
        what: the tree's name and the reason, for the refusal.

    Raises:
        UsageError: both sides changed.
    """
    developed = dirty or head != recorded
    if not moved:
        return Plan.LIES if developed else Plan.KEEP
    if developed:
        raise UsageError(what)
    return Plan.MOVE


def load(tree: Repo) -> State | None:
    """What build/tree was made from; None when it was never finished."""
    path = _memory(tree)
    if not path.is_file():
        return None
    return State(**json.loads(path.read_text(encoding="utf-8")))


def save(tree: Repo, state: State) -> None:
    """Remember what build/tree was made from."""
    path = _memory(tree)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def prepare(
    variant: Variant,
    origin: source.Source,
    say: Say,
    *,
    build: Path = BUILD,
    folder: Path = PATCHES,
) -> Trees:
    """Bring the working trees in step with the base and the series.

    Raises:
        UsageError: a developer's work would be lost, or kernel-patches/ is inconsistent.
        BuildError: a patch does not apply.
        InfraError: git or tar failed.
    """
    tree = Repo(build / "tree")
    patches = series.read(folder)
    base = source.take(origin, tree, say)
    known = series.made_on(folder)
    if patches and known and known != origin.version:
        say(f"warning: the series was made on Linux {known}; trying it on {origin.version}")
    state, kept = _prepare_tree(tree, base, origin, patches, say)
    kernel, found = tree, Plan.KEEP
    if variant.series != "all":
        commit = base
        if variant.series == "removal":
            commit = series.removal_tip(tree, base, tree.head, folder)
        kernel, found = linked(tree, f"src-{variant.name}", commit, say)
    return Trees(state, tree, kernel, developed=Plan.LIES in (kept, found))


def linked(tree: Repo, name: str, commit: str, say: Say) -> tuple[Repo, Plan]:
    """Leave a linked working tree at `commit`, or as the developer left it.

    Args:
        tree: the repository.
        name: where the working tree lies, seen from beside the repository.
        commit: what is to lie there.
        say: gets one line about what happens.

    Raises:
        UsageError: a developer's work would be lost.
    """
    there = Repo(tree.path.parent / name)
    memory = f"refs/krsi/linked/{name}"
    if not there.exists:
        say(f"checking out {name}")
        tree.run("worktree", "prune")
        tree.run("worktree", "add", "--quiet", "--force", "--detach", there.path, commit)
        tree.run("update-ref", memory, commit)
        return there, Plan.MOVE
    recorded = tree.commit(memory)
    decision = plan(
        recorded,
        there.head,
        dirty=bool(there.changes()),
        moved=recorded != commit,
        what=f"{there.path} was edited, and the patches it is made from have changed, too: put "
        "your edits aside with `git stash`.",
    )
    if decision is Plan.LIES:
        say(f"{name}: a developer's tree, built as it lies")
    if decision is Plan.MOVE:
        there.run("checkout", "--quiet", "--detach", commit)
        tree.run("update-ref", memory, commit)
    return there, decision


def _memory(tree: Repo) -> Path:
    return tree.git_dir / "krsi.json"


def _prepare_tree(
    tree: Repo,
    base: str,
    origin: source.Source,
    patches: tuple[series.Patch, ...],
    say: Say,
) -> tuple[State, Plan]:
    """Leave build/tree at the series' tip, or as the developer left it."""
    old = load(tree)
    wanted = series.digest(patches)
    moving = tree.git_dir / "krsi.moving"
    if old is not None and not moving.exists():
        changed = "its base" if old.base != base else "kernel-patches/"
        decision = plan(
            old.applied,
            tree.head,
            dirty=bool(tree.changes()),
            moved=(old.base, old.series) != (base, wanted),
            what=f"{tree.path} holds work that is not exported, and {changed} has changed, too: "
            "`make patches` exports it, `git stash` or a branch of your own puts it aside.",
        )
        if decision is not Plan.MOVE:
            if decision is Plan.LIES:
                say(f"{tree.path.name}: a developer's tree, built as it lies")
            return old, decision
    if patches:
        say(f"applying {len(patches)} patches to Linux {origin.version}")
    tip = series.apply(tree, base, patches)
    # An interruption from here on must not look like a developer's edits.
    moving.touch()
    tree.run("checkout", "--quiet", "--force", "-B", "krsi", tip)
    tree.run("tag", "--force", source.TAG, base)
    state = State(base, origin.version, origin.package, wanted, tip)
    save(tree, state)
    moving.unlink()
    return state, Plan.MOVE
