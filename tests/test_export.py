"""Exports are reproducible and complete, and refuse to lose anything."""

from pathlib import Path

import pytest

from fakes import DEVELOPER, REMOVAL, Project, write_tree
from harness import proc
from harness.errors import BuildError, UsageError
from harness.trees import export, series, tree


def run(project: Project) -> int:
    return export.patches(project.repo, project.patches, project.root)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_cover(project: Project, text: str) -> None:
    (project.patches / "cover-letter.txt").write_text(text, encoding="utf-8")


def test_the_same_commits_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    write_cover(project, "bpf: Ours\n\nA text.\n")
    project.develop()
    assert run(project) == 3
    first = contents(project.patches)
    stamps = {path: path.stat().st_mtime_ns for path in project.patches.glob("*.patch")}
    assert run(project) == 3
    assert contents(project.patches) == first
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    # The other way round: applied elsewhere by the harness, exported again.
    other_root = tmp_path / "elsewhere"
    other_root.mkdir()
    other = Project.make(other_root)
    for name, content in first.items():
        (other.patches / name).write_bytes(content)
    other.prepare()
    run(other)
    assert contents(other.patches) == first


def test_nothing_of_the_day_or_the_machine_is_in_it(project: Project) -> None:
    project.develop()
    run(project)
    text = next(project.patches.glob("0001-*")).read_text(encoding="utf-8")
    assert text.startswith("From 0000000000000000000000000000000000000000 Mon Sep 17")
    assert "From: Ada Developer <ada@example.org>\n" in text
    assert "Date: Mon, 3 Feb 2025 04:05:06 +0100\n" in text
    assert "Signed-off-by" not in text
    assert not text.rstrip().splitlines()[-1].startswith("2.")


def test_the_cover_letter(project: Project) -> None:
    write_cover(project, "bpf: Ours — at last\n\nA text.\n\nIts end.\n")
    project.develop()
    run(project)
    text = (project.patches / series.COVER).read_text(encoding="utf-8")
    assert text.startswith("From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001")
    assert "Subject: =?utf-8?" in text
    assert "\n\nA text.\n\nIts end.\n\nAda Developer (3):\n  bpf: Remove the old LSM\n" in text
    assert " security/security.c " in text
    assert " create mode 100644 tools/testing/selftests/bpf/prog_tests/lsm_attach.c\n" in text


def test_fewer_and_renamed_patches_leave_nothing_stale(project: Project) -> None:
    project.develop()
    run(project)
    project.repo.run("reset", "--quiet", "--hard", "HEAD^")
    assert run(project) == 2
    assert [path.name for path in sorted(project.patches.glob("*.patch"))] == [
        "0001-bpf-Remove-the-old-LSM.patch",
        "0002-bpf-lsm-Build-it-anew.patch",
    ]
    assert not (project.root / "selftests").exists()


def test_views(project: Project) -> None:
    project.develop()
    run(project)
    assert (project.root / "security/bpf/hooks.c").read_text(encoding="utf-8") == "new hooks\n"
    test = project.root / "selftests/prog_tests/lsm_attach.c"
    assert test.read_text(encoding="utf-8") == "test\n"
    assert not (project.root / "tools").exists()
    assert differences(project) == ()


def test_a_view_out_of_step_is_named(project: Project) -> None:
    project.develop()
    run(project)
    (project.root / "security/bpf/hooks.c").write_text("edited\n", encoding="utf-8")
    (project.root / "selftests/prog_tests/lsm_attach.c").unlink()
    (project.root / "security/bpf/extra.c").write_text("extra\n", encoding="utf-8")
    assert differences(project) == (
        "security/bpf/hooks.c: differs",
        "selftests/prog_tests/lsm_attach.c: missing",
        "security/bpf/extra.c: the series does not create it",
    )


@pytest.mark.parametrize("name", ["security/bpf/hooks.c", "selftests/progs/new.c"])
def test_an_edited_view_is_not_overwritten(project: Project, name: str) -> None:
    project.develop()
    run(project)
    write_tree(project.root, {name: "hours of work\n"})
    project.commit("more", {"security/bpf/more.c": "more\n"})
    before = contents(project.root / "kernel-patches")
    with pytest.raises(UsageError, match=f"^{name} was edited.* commit the edit there, or put it"):
        run(project)
    assert (project.root / name).read_text(encoding="utf-8") == "hours of work\n"
    assert contents(project.root / "kernel-patches") == before

    # The first way out: the same edit, in the tree. The second one: put it aside.
    inside = name.replace("selftests/", "tools/testing/selftests/bpf/")
    project.commit("the edit", {inside: "hours of work\n"})
    assert run(project) == 5
    (project.root / name).write_text("once more\n", encoding="utf-8")
    (project.root / name).unlink()
    assert run(project) == 5
    assert differences(project) == ()


def test_views_keep_bytes_and_modes(project: Project) -> None:
    project.develop()
    path = project.repo.path / "tools/lib/bpf/run.sh"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"#!/bin/sh\n\xff\n")
    path.chmod(0o755)
    project.commit("a script", {})
    run(project)
    shown = project.root / "tools/lib/bpf/run.sh"
    assert shown.read_bytes() == b"#!/bin/sh\n\xff\n"
    assert shown.stat().st_mode & 0o777 == 0o755
    shown.chmod(0o644)
    assert differences(project) == ("tools/lib/bpf/run.sh: the executable bit differs",)


def test_what_git_am_would_mangle_is_refused(project: Project) -> None:
    project.develop()
    project.commit("carriage returns", {"dos.c": "a\r\n"})
    with pytest.raises(BuildError, match="do not give the files of build/tree back"):
        run(project)
    assert not list(project.patches.glob("*.patch"))


def test_the_tree_is_pristine_after_an_export(project: Project) -> None:
    project.develop()
    run(project)
    assert not project.prepare().developed


def rebase(project: Project, *todo: str, **env: str) -> None:
    """`git rebase -i`, as a developer who turns the list into `todo`."""
    lines = "\\n".join(todo)
    editor = f"printf '{lines}\\n' >"
    settings = {"GIT_SEQUENCE_EDITOR": editor, "GIT_EDITOR": "true", **DEVELOPER, **env}
    proc.run(["git", "rebase", "-i", "base"], cwd=project.repo.path, env=settings)


def commits(project: Project) -> list[str]:
    return project.repo.out("rev-list", "--reverse", "base..HEAD").splitlines()


def test_a_rebase_and_one_command_change_the_series(project: Project) -> None:
    write_cover(project, "bpf: Ours\n\nA text.\n")
    project.develop()
    helper = "tools/testing/selftests/bpf/lsm_helper.h"
    project.commit("selftests/bpf: Share a helper", {helper: "helper\n"})
    project.commit("fixup! bpf, lsm: Build it anew", {"security/bpf/hooks.c": "better hooks\n"})
    run(project)
    first, second, third, fourth, fifth = commits(project)

    # The helper comes before the test, the fixup goes where it belongs, the test is dropped.
    rebase(project, f"pick {first}", f"pick {second}", f"fixup {fifth}", f"pick {fourth}")
    assert run(project) == 3
    assert [path.name for path in sorted(project.patches.glob("*.patch"))] == [
        "0000-cover-letter.patch",
        "0001-bpf-Remove-the-old-LSM.patch",
        "0002-bpf-lsm-Build-it-anew.patch",
        "0003-selftests-bpf-Share-a-helper.patch",
    ]
    assert (project.root / "security/bpf/hooks.c").read_text(encoding="utf-8") == "better hooks\n"
    assert [path.name for path in (project.root / "selftests").rglob("*")] == ["lsm_helper.h"]
    assert differences(project) == ()
    assert "PATCH 0/3" in (project.patches / series.COVER).read_text(encoding="utf-8")

    # Once more changes no byte and touches no file; a clean clone comes to the same commits.
    everything = {path: path.stat().st_mtime_ns for path in project.root.glob("[ks]*/**/*")}
    before = contents(project.patches)
    assert run(project) == 3
    assert contents(project.patches) == before
    assert {path: path.stat().st_mtime_ns for path in everything} == everything
    assert not project.prepare().developed
    assert third not in commits(project)


def test_commits_of_a_rebase_may_move_and_be_reworded(project: Project) -> None:
    project.develop()
    run(project)
    first, second, third = commits(project)
    rebase(project, f"pick {first}", f"pick {third}", f"reword {second}",
           GIT_EDITOR="printf 'bpf, lsm: Anew, indeed\\n\\nBecause.\\n' >")  # fmt: skip
    assert run(project) == 3
    assert [patch.subject for patch in series.read(project.patches)] == [
        REMOVAL,
        "selftests/bpf: Test — it",
        "bpf, lsm: Anew, indeed",
    ]


def test_half_a_rebase_is_not_exported(project: Project) -> None:
    project.develop()
    run(project)
    before = contents(project.patches)
    first, second, third = commits(project)
    rebase(project, f"pick {first}", f"edit {second}", f"pick {third}")
    with pytest.raises(UsageError, match=r"a rebase is under way: .*git rebase --continue"):
        run(project)
    assert contents(project.patches) == before
    proc.run(["git", "rebase", "--continue"], cwd=project.repo.path, env=DEVELOPER)
    assert run(project) == 3
    assert contents(project.patches) == before


def test_uncommitted_work_is_refused(project: Project) -> None:
    project.develop()
    (project.repo.path / "new.c").write_text("new\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"not committed \(new\.c\)"):
        run(project)
    assert not list(project.patches.glob("*.patch"))


def test_edited_patches_are_not_overwritten(project: Project) -> None:
    project.develop()
    run(project)
    patch = next(project.patches.glob("0001-*"))
    patch.write_text(patch.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    before = contents(project.patches)
    with pytest.raises(UsageError, match="kernel-patches/ has changed since build/tree"):
        run(project)
    assert contents(project.patches) == before


def test_a_merge_is_refused(project: Project) -> None:
    project.develop()
    main = project.repo.head
    project.repo.run("checkout", "--quiet", "-b", "side", "HEAD^")
    project.commit("side", {"side.c": "side\n"})
    project.repo.run("merge", "--quiet", "--no-edit", main)
    with pytest.raises(UsageError, match="a merge cannot become a patch"):
        run(project)


def test_a_history_beside_the_base_is_refused(project: Project) -> None:
    project.develop()
    project.repo.run("checkout", "--quiet", "--orphan", "other")
    project.commit("other", {"x.c": "x\n"})
    with pytest.raises(UsageError, match="does not stand on the base"):
        run(project)


def test_a_stale_removal_list_is_refused(project: Project) -> None:
    project.develop()
    (project.patches / "removal").write_text(f"{REMOVAL}, truly\n", encoding="utf-8")
    with pytest.raises(UsageError, match="removal is stale"):
        run(project)
    assert not list(project.patches.glob("*.patch"))


def test_there_must_be_a_tree(project: Project) -> None:
    with pytest.raises(UsageError, match="there is no build/tree yet"):
        run(project)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("security/bpf/chain.c", "security/bpf/chain.c"),
        ("tools/lib/bpf/lsm.c", "tools/lib/bpf/lsm.c"),
        ("tools/testing/selftests/bpf/progs/x.c", "selftests/progs/x.c"),
        ("Documentation/security/bpf.rst", None),
        ("security/bpfx/a.c", None),
    ],
)
def test_where_files_are_shown(path: str, place: str | None) -> None:
    shown = export.view_of(path)
    assert (shown and shown.as_posix()) == place


def differences(project: Project) -> tuple[str, ...]:
    state = tree.load(project.repo)
    assert state
    return export.view_differences(project.repo, state.base, project.repo.head, project.root)
