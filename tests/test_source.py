"""The base is found, recognised and taken in, the same on every machine."""

import tarfile
from pathlib import Path

import pytest

from fakes import DEVELOPER, FILES, MAKEFILE, Project, git, quiet, write_tree
from harness.errors import InfraError, UsageError
from harness.trees import source
from harness.trees.git import Repo


def make_tarball(folder: Path, src: Path) -> Path:
    path = folder / "linux.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.add(src, arcname="linux-source-6.12")
    return path


def make_git(folder: Path, files: dict[str, str]) -> Path:
    write_tree(folder, files)
    git(folder, "init", "-q")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", "theirs")
    return folder


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (MAKEFILE, "6.12.7"),
        (MAKEFILE.replace("EXTRAVERSION =", "EXTRAVERSION = -rc3"), "6.12.7-rc3"),
        ("all:\n\techo hello\n", ""),
        ("VERSION = 6\n", ""),
        ("", ""),
    ],
)
def test_versions(text: str, version: str) -> None:
    assert source.parse_version(text) == version


def test_folder_tarball_and_git_give_the_same_commit(project: Project, tmp_path: Path) -> None:
    places = (
        project.src,
        make_tarball(tmp_path, project.src),
        make_git(tmp_path / "theirs", FILES),
    )
    commits = set()
    for number, place in enumerate(places):
        repo = Repo(tmp_path / f"out{number}/tree")
        found = source.locate(str(place))
        assert found.version == "6.12.7"
        commits.add(source.take(found, repo, quiet))
        assert repo.changes() == ()
        assert (repo.path / "forced.o").is_file() or number == 2
    assert len(commits) == 1


def test_a_base_is_taken_in_once(project: Project) -> None:
    said: list[str] = []
    repo = project.repo
    first = source.take(source.locate(str(project.src)), repo, said.append)
    again = source.take(source.locate(str(project.src)), repo, said.append)
    assert first == again
    assert len(said) == 1


def test_new_files_show_in_a_tree_from_debian(project: Project, tmp_path: Path) -> None:
    (project.src / ".gitignore").write_text("*.o\n/*\n!/debian/\n")
    repo = Repo(tmp_path / "out/tree")
    source.take(source.locate(str(project.src)), repo, quiet)
    (repo.path / "new.c").write_text("")
    (repo.path / "new.o").write_text("")
    assert repo.changes() == ("new.c",)


def test_a_second_base_leaves_the_working_tree_alone(project: Project) -> None:
    repo = project.repo
    first = source.take(source.locate(str(project.src)), repo, quiet)
    (project.src / "Makefile").write_text(MAKEFILE.replace("7", "8"), encoding="utf-8")
    found = source.locate(str(project.src))
    assert found.version == "6.12.8"
    assert source.take(found, repo, quiet) != first
    assert repo.head == first
    assert repo.changes() == ()


def test_git_trees_give_what_is_committed(tmp_path: Path) -> None:
    theirs = make_git(tmp_path / "theirs", FILES)
    (theirs / "Makefile").write_text("scribble", encoding="utf-8")
    assert source.locate(str(theirs)).version == "6.12.7"


def test_debians_package_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"install linux-source-6\.12"):
        source.locate(None, tarball=tmp_path / "none.tar.xz")


def test_an_empty_kernel_src_is_debians_package(project: Project, tmp_path: Path) -> None:
    tarball = make_tarball(tmp_path, project.src)
    assert source.locate("", tarball=tarball).kind == "tarball"


def test_no_such_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or file"):
        source.locate(str(tmp_path / "nowhere"))


def test_a_folder_that_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no Linux kernel"):
        source.locate(str(tmp_path))


def test_a_file_that_is_no_tarball(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(UsageError, match="neither a folder nor a tarball"):
        source.locate(str(path))


def test_a_tarball_that_is_no_kernel(tmp_path: Path) -> None:
    write_tree(tmp_path / "other", {"README": "hello"})
    with pytest.raises(UsageError, match="is no Linux kernel"):
        source.locate(str(make_tarball(tmp_path, tmp_path / "other")))


@pytest.mark.parametrize("minor", ["11", "120"])
def test_another_series(project: Project, minor: str) -> None:
    text = MAKEFILE.replace("PATCHLEVEL = 12", f"PATCHLEVEL = {minor}")
    (project.src / "Makefile").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=rf"is Linux 6\.{minor}\.7, but the series .* 6\.12"):
        source.locate(str(project.src))


def test_another_series_in_git(tmp_path: Path) -> None:
    old = MAKEFILE.replace("VERSION = 6\nP", "VERSION = 5\nP")
    theirs = make_git(tmp_path / "theirs", {**FILES, "Makefile": old})
    with pytest.raises(UsageError, match=r"is Linux 5\.12\.7"):
        source.locate(str(theirs))


def test_a_git_tree_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="git finds no commit"):
        source.locate(str(tmp_path))


def test_a_folder_that_was_built_in(project: Project) -> None:
    write_tree(project.src, {".config": "CONFIG_X=y\n"})
    with pytest.raises(UsageError, match="make mrproper"):
        source.locate(str(project.src))


def test_a_folder_in_the_way_is_not_touched(project: Project) -> None:
    write_tree(project.repo.path, {"precious": "work"})
    with pytest.raises(UsageError, match="is in the way"):
        source.take(source.locate(str(project.src)), project.repo, quiet)
    assert (project.repo.path / "precious").read_text(encoding="utf-8") == "work"


def test_the_developer_is_no_part_of_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = source.take(source.locate(str(project.src)), project.repo, quiet)
    for name, value in DEVELOPER.items():
        monkeypatch.setenv(name, value)
    other = Repo(tmp_path / "elsewhere/tree")
    assert source.take(source.locate(str(project.src)), other, quiet) == first
