"""The series is read, applied exactly, and its removal part is known by subject."""

from pathlib import Path

import pytest

from fakes import LINES, REMOVAL, Project
from harness.errors import BuildError, UsageError
from harness.trees import export, series


def exported(project: Project) -> tuple[series.Patch, ...]:
    project.develop()
    export.patches(project.repo, project.patches, project.root)
    return series.read(project.patches)


def test_an_empty_folder_is_a_series(project: Project) -> None:
    assert series.read(project.patches) == ()
    trees = project.prepare("upstream")
    assert trees.kernel.path.name == "src-upstream"
    assert trees.kernel.head == trees.state.base == trees.tree.head


def test_subjects_and_labels(project: Project) -> None:
    found = [(patch.number, patch.label, patch.subject) for patch in exported(project)]
    assert found == [
        (1, "[PATCH 1/3]", REMOVAL),
        (2, "[PATCH 2/3]", "bpf, lsm: Build it anew"),
        (3, "[PATCH 3/3]", "selftests/bpf: Test — it"),
    ]


def test_a_gap_in_the_numbers(project: Project) -> None:
    exported(project)[1].path.unlink()
    with pytest.raises(UsageError, match="number 0002 was expected here"):
        series.read(project.patches)


def test_the_cover_letter_is_no_patch(project: Project) -> None:
    before = exported(project)
    (project.patches / "0000-cover-letter.patch").write_text("hello", encoding="utf-8")
    assert series.read(project.patches) == before


def test_applying_is_repeatable(project: Project, tmp_path: Path) -> None:
    patches = exported(project)
    tip = series.apply(project.repo, project.prepare().state.base, patches)
    other_root = tmp_path / "other"
    other_root.mkdir()
    other = Project.make(other_root)
    base = other.prepare().state.base
    assert series.apply(other.repo, base, patches) == tip


def test_a_patch_that_does_not_apply_is_named_with_its_hunk(project: Project) -> None:
    patches = exported(project)
    path = patches[1].path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n line 10\n", "\n line ten\n"), encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        series.apply(project.repo, _base(project), series.read(project.patches))
    words = str(caught.value)
    assert "kernel-patches/0002-bpf-lsm-Build-it-anew.patch does not apply" in words
    assert "hunk 1 (@@ -6,7 +6,7 @@) of security/security.c" in words
    assert not (project.build / "am.tmp").exists()


def test_no_fuzz(project: Project) -> None:
    patches = exported(project)
    path = patches[1].path
    # A line of context at the very edge: patch(1) would forgive it.
    text = path.read_text(encoding="utf-8").replace("\n line 12\n", "\n line twelve\n")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match="0002"):
        series.apply(project.repo, _base(project), series.read(project.patches))


def test_a_missing_file_is_named(project: Project) -> None:
    patches = exported(project)
    path = patches[0].path
    text = path.read_text(encoding="utf-8").replace("security/bpf/hooks.c", "security/bpf/gone.c")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match=r"0001-.* does not apply: security/bpf/gone\.c"):
        series.apply(project.repo, _base(project), series.read(project.patches))


def test_a_file_that_is_no_patch(project: Project) -> None:
    project.prepare()
    (project.patches / "0001-x.patch").write_text("hello\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"0001-x\.patch does not apply"):
        series.apply(project.repo, _base(project), series.read(project.patches))


def test_removal_is_how_the_series_begins() -> None:
    subjects = ("remove a", "remove b", "add c")
    assert series.count_removal(("remove a", "remove b"), subjects) == 2
    with pytest.raises(UsageError, match=r"its line 2 says 'remove x', patch 2 .* is 'remove b'"):
        series.count_removal(("remove a", "remove x"), subjects)
    with pytest.raises(UsageError, match="patch 1 of the series is 'nothing'"):
        series.count_removal(("remove a",), ())


@pytest.mark.parametrize("text", [None, "", "# only a comment\n"])
def test_removal_must_name_a_patch(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "removal").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="removal names no patch"):
        series.removal_subjects(tmp_path)


def test_created_counts_what_was_deleted_and_made_anew(project: Project) -> None:
    exported(project)
    base = _base(project)
    found = series.created(project.repo, base, project.repo.head)
    assert sorted(found) == [
        "security/bpf/hooks.c",
        "tools/testing/selftests/bpf/prog_tests/lsm_attach.c",
    ]


def test_created_forgets_what_a_later_patch_deletes(project: Project) -> None:
    project.prepare()
    project.commit("one", {"new.c": LINES, "kept.c": LINES + "more\n"})
    project.commit("two", {"new.c": None})
    assert sorted(series.created(project.repo, _base(project), project.repo.head)) == ["kept.c"]


def _base(project: Project) -> str:
    base = project.repo.commit("base")
    assert base
    return base
