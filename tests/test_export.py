"""Exports are reproducible and complete, and refuse to lose anything."""

from pathlib import Path

import pytest

from fakes import REMOVAL, Project
from harness import export, series, tree
from harness.errors import BuildError, UsageError


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
    run(project)
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
