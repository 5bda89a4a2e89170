"""build/tree follows its sources, and a developer's work is never lost."""

import pytest

from fakes import FILES, LINES, MAKEFILE, Project
from harness.errors import BuildError, UsageError
from harness.trees import export, tree
from harness.trees.tree import Plan

SECURITY = "security/security.c"


def with_series(project: Project) -> None:
    project.develop()
    export.patches(project.repo, project.patches, project.root)


@pytest.mark.parametrize(
    ("recorded", "dirty", "moved", "wanted"),
    [
        ("a", False, False, Plan.KEEP),
        ("b", False, False, Plan.LIES),
        ("a", True, False, Plan.LIES),
        (None, False, False, Plan.LIES),
        ("a", False, True, Plan.MOVE),
    ],
)
def test_plans(recorded: str | None, dirty: bool, moved: bool, wanted: Plan) -> None:
    assert tree.plan(recorded, "a", dirty=dirty, moved=moved, what="") is wanted


@pytest.mark.parametrize(("recorded", "dirty"), [("b", False), ("a", True), (None, False)])
def test_refusals(recorded: str | None, dirty: bool) -> None:
    with pytest.raises(UsageError, match="both"):
        tree.plan(recorded, "a", dirty=dirty, moved=True, what="both")


def test_the_first_time(project: Project) -> None:
    trees = project.prepare()
    assert trees.tree.commit("base") == trees.state.base == trees.tree.head
    assert not trees.developed
    assert trees.state.version == "6.12.7"


def test_nothing_changed(project: Project) -> None:
    with_series(project)
    said: list[str] = []
    before = project.repo.head
    trees = project.prepare(said=said)
    assert (trees.tree.head, trees.developed, said) == (before, False, [])


@pytest.mark.parametrize("committed", [False, True])
def test_a_developers_tree_is_built_as_it_lies(project: Project, committed: bool) -> None:
    with_series(project)
    if committed:
        project.commit("mine", {"mine.c": "mine\n"})
    else:
        (project.repo.path / SECURITY).write_text("edited\n", encoding="utf-8")
    said: list[str] = []
    before = project.repo.head
    trees = project.prepare(said=said)
    assert trees.developed
    assert trees.tree.head == before
    assert said == ["tree: a developer's tree, built as it lies"]


def test_new_patches_touch_only_what_they_change(project: Project) -> None:
    with_series(project)
    untouched = project.repo.path / "kernel/bpf/verifier.c"
    changed = project.repo.path / SECURITY
    before = (untouched.stat().st_mtime_ns, changed.stat().st_mtime_ns)
    patch = next(project.patches.glob("0002-*"))
    text = patch.read_text(encoding="utf-8").replace("line nine", "line 9, anew")
    patch.write_text(text, encoding="utf-8")
    trees = project.prepare()
    assert "line 9, anew\n" in changed.read_text(encoding="utf-8")
    assert untouched.stat().st_mtime_ns == before[0]
    assert changed.stat().st_mtime_ns != before[1]
    assert not trees.developed
    assert project.repo.changes() == ()


def test_both_changed_is_refused_and_nothing_is_lost(project: Project) -> None:
    with_series(project)
    (project.repo.path / SECURITY).write_text("edited\n", encoding="utf-8")
    next(project.patches.glob("0003-*")).unlink()
    with pytest.raises(UsageError, match=r"not exported, and kernel-patches/ has changed"):
        project.prepare()
    assert (project.repo.path / SECURITY).read_text(encoding="utf-8") == "edited\n"


def test_another_base_is_taken(project: Project) -> None:
    with_series(project)
    (project.src / "Makefile").write_text(MAKEFILE.replace("7", "8"), encoding="utf-8")
    said: list[str] = []
    trees = project.prepare(said=said)
    assert "warning: the series was made on Linux 6.12.7; trying it on 6.12.8" in said
    assert trees.state.version == "6.12.8"
    assert "SUBLEVEL = 8" in (project.repo.path / "Makefile").read_text(encoding="utf-8")
    assert (project.repo.path / "security/bpf/hooks.c").read_text(encoding="utf-8") == "new hooks\n"


def test_another_base_under_a_developer_is_refused(project: Project) -> None:
    with_series(project)
    project.commit("mine", {"mine.c": "mine\n"})
    (project.src / "Makefile").write_text(MAKEFILE.replace("7", "8"), encoding="utf-8")
    with pytest.raises(UsageError, match="its base has changed"):
        project.prepare()


def test_a_patch_that_does_not_apply_leaves_the_tree_alone(project: Project) -> None:
    with_series(project)
    before = project.repo.head
    patch = next(project.patches.glob("0002-*"))
    text = patch.read_text(encoding="utf-8").replace("-line 9\n", "-line X\n")
    patch.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match="hunk 1"):
        project.prepare()
    assert project.repo.head == before
    assert project.repo.changes() == ()


def test_an_interrupted_checkout_is_no_developers_work(project: Project) -> None:
    with_series(project)
    (project.repo.path / SECURITY).write_text("half\n", encoding="utf-8")
    (project.repo.git_dir / "krsi.moving").touch()
    trees = project.prepare()
    assert not trees.developed
    assert project.repo.changes() == ()
    assert not (project.repo.git_dir / "krsi.moving").exists()


def test_none_has_the_removal_only(project: Project) -> None:
    with_series(project)
    trees = project.prepare("none")
    assert trees.kernel.path == project.build / "src-none"
    assert not (trees.kernel.path / "security/bpf/hooks.c").exists()
    assert (trees.kernel.path / SECURITY).read_text(encoding="utf-8") == LINES
    assert "line nine" in (trees.tree.path / SECURITY).read_text(encoding="utf-8")


def test_upstream_has_no_patch(project: Project) -> None:
    with_series(project)
    trees = project.prepare("upstream")
    path = trees.kernel.path / "security/bpf/hooks.c"
    assert path.read_text(encoding="utf-8") == FILES["security/bpf/hooks.c"]


def test_linked_trees_follow_the_series(project: Project) -> None:
    with_series(project)
    first = project.prepare("none").kernel.head
    project.commit("later", {"later.c": "later\n"})
    assert project.prepare("none").kernel.head == first
    patch = next(project.patches.glob("0001-*"))
    text = patch.read_text(encoding="utf-8").replace("Because.", "Since.")
    project.repo.run("reset", "--quiet", "--hard", "HEAD^")
    patch.write_text(text, encoding="utf-8")
    assert project.prepare("none").kernel.head != first


def test_linked_trees_keep_a_developers_edit(project: Project) -> None:
    with_series(project)
    linked = project.prepare("upstream").kernel
    (linked.path / SECURITY).write_text("edited\n", encoding="utf-8")
    said: list[str] = []
    trees = project.prepare("upstream", said)
    assert trees.developed
    assert said == ["src-upstream: a developer's tree, built as it lies"]
    (project.src / "Makefile").write_text(MAKEFILE.replace("7", "8"), encoding="utf-8")
    with pytest.raises(UsageError, match="src-upstream was edited"):
        project.prepare("upstream")
    assert (linked.path / SECURITY).read_text(encoding="utf-8") == "edited\n"


def test_a_stale_removal_list_stops_none(project: Project) -> None:
    with_series(project)
    (project.patches / "removal").write_text("another subject\n", encoding="utf-8")
    with pytest.raises(UsageError, match="removal is stale"):
        project.prepare("none")
    project.prepare("krsi")
