"""A build says in one sentence why it failed, and does nothing when nothing changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes import DEVELOPER, Project, fake_tool, write_tree
from harness import packages
from harness.errors import BuildError, InfraError, UsageError
from harness.kernel import build, elf, fingerprint, kmake
from harness.model import VARIANTS, BuildPaths
from harness.run import upstream, upstream_client
from harness.trees import tree

#: A make that builds what the phases look for, and counts how often it was called.
MAKE = """\
echo "$@" >>{calls}
for word; do case "$word" in
O=*) out=${{word#O=}} ;;
OUTPUT=*) output=${{word#OUTPUT=}} ;;
LIBBPF_OUTPUT=*) libbpf=${{word#LIBBPF_OUTPUT=}} ;;
OUT=*) tests=${{word#OUT=}} ;;
tinyconfig) echo 'CONFIG_TINY=y' >$out/.config ;;
olddefconfig) {olddefconfig} ;;
bzImage) {bzimage}; mkdir -p $out/arch/x86/boot; : >$out/arch/x86/boot/bzImage; : >$out/vmlinux ;;
esac; done
[ -z "$output" ] || {{ : >${{output}}bpftool; : >${{libbpf}}libbpf.a; }}
[ -z "$tests" ] || : >$tests/lsm_tests
[ -z "$tests" ] || : >$tests/setup.sh
case "$*" in *" modules") for word; do case "$word" in
M=*) : >${{word#M=}}/bpf_testmod.ko ;;
esac; done ;; esac
"""


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class FakeImage(elf.Image):
    """An image whose guards are content."""

    def section(self, name: str) -> bytes:
        del name
        return b"types"


@pytest.fixture
def machine(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Install a fake make and fake compilers; returns the file that lists the calls."""

    def install(*, olddefconfig: str = ":", bzimage: str = ":") -> Path:
        calls = tmp_path / "calls"
        folder = tmp_path / "bin"
        script = MAKE.format(calls=calls, olddefconfig=olddefconfig, bzimage=bzimage)
        fake_tool(folder, "make", script)
        for tool in ("gcc", "ld", "clang", "pahole"):
            fake_tool(folder, tool, f"echo {tool} 1.0")
        path = f"{folder}:/usr/bin:/bin"
        monkeypatch.setattr(packages, "search_path", lambda: path)
        monkeypatch.setattr(packages, "ensure", lambda *_: None)
        monkeypatch.setattr(build, "ROOM_FIRST", 1)
        monkeypatch.setattr(build, "ROOM_SOURCES", 1)
        monkeypatch.setattr(build, "ROOM_AGAIN", 1)
        monkeypatch.setattr(elf, "Image", FakeImage)
        monkeypatch.setattr(elf, "guard", lambda *_: None)
        monkeypatch.setattr(
            tree.prepare,
            "__kwdefaults__",
            {
                "build": project.build,
                "folder": project.patches,
            },
        )
        return calls

    return install


def run(project: Project, variant: str = "upstream") -> BuildPaths:
    request = build.Request(VARIANTS[variant], str(project.src), project.build)
    return build.kernel(request)


def test_a_build_and_then_nothing(
    project: Project, machine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = machine()
    paths = run(project)
    assert (paths.bin / "bpftool").is_file()
    assert (paths.root / "vmlinux.btf").read_bytes() == b"types"
    manifest = json.loads(paths.manifest.read_text(encoding="utf-8"))
    assert manifest["variant"] == "upstream"
    assert manifest["base"]["version"] == "6.12.7"
    assert manifest["series"]["edited"] is False
    assert manifest["toolchain"]["gcc"] == "gcc 1.0"
    assert {"kernel", "tools", "total"} <= manifest["seconds"].keys()
    before = calls.read_text(encoding="utf-8")
    run(project)
    assert calls.read_text(encoding="utf-8") == before
    assert "upstream: nothing has changed" in capsys.readouterr().out


def test_an_edited_kernel_file_builds_the_kernel_only(
    project: Project, machine: Callable[..., Path]
) -> None:
    calls = machine()
    run(project, "krsi")
    calls.unlink()
    path = project.repo.path / "security/security.c"
    path.write_text(path.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    manifest = json.loads(run(project, "krsi").manifest.read_text(encoding="utf-8"))
    text = calls.read_text(encoding="utf-8")
    assert "bzImage" in text
    assert "tools/bpf/bpftool" not in text
    assert manifest["series"]["edited"] is True


def test_the_manifest_heeds_another_message_for_which_nothing_is_built(
    project: Project, machine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = machine()
    project.prepare()
    project.commit("lsm: Say more", {"security/security.c": "more\n"})
    before = json.loads(run(project, "krsi").manifest.read_text(encoding="utf-8"))
    project.repo.run("commit", "--quiet", "--amend", "-m", "lsm: Say a lot", env=DEVELOPER)
    calls.unlink()
    capsys.readouterr()
    after = json.loads(run(project, "krsi").manifest.read_text(encoding="utf-8"))
    assert "krsi: nothing has changed" in capsys.readouterr().out
    assert not calls.exists()
    assert after["series"]["head"] == project.repo.head != before["series"]["head"]
    assert after["seconds"] == before["seconds"]


def test_an_edited_selftest_builds_the_selftests_only(
    project: Project, machine: Callable[..., Path]
) -> None:
    project.develop()
    calls = machine()
    run(project, "krsi")
    assert "TESTS=lsm_attach" in calls.read_text(encoding="utf-8")
    calls.unlink()
    tests = project.repo.path / "tools/testing/selftests/bpf/prog_tests"
    (tests / "lsm_new.c").write_text("new\n", encoding="utf-8")
    paths = run(project, "krsi")
    text = calls.read_text(encoding="utf-8")
    assert "bzImage" not in text
    assert "TESTS=lsm_attach lsm_new" in text
    assert paths.runner.is_file()


class ResetError(BaseException):
    """The machine is gone: nobody cleans up after it."""


def test_a_reset_in_the_middle_costs_what_was_under_way_and_nothing_else(
    project: Project, machine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = machine()

    def reset(*_: object) -> None:
        raise ResetError

    with monkeypatch.context() as patched:
        patched.setattr(build, "_build_tools", reset)
        with pytest.raises(ResetError):
            run(project, "krsi")
    assert "bzImage" in calls.read_text(encoding="utf-8")
    calls.unlink()
    paths = run(project, "krsi")
    text = calls.read_text(encoding="utf-8")
    assert "tools/bpf/bpftool" in text
    assert "bzImage" not in text
    assert paths.manifest.is_file()


def test_a_lost_product_is_built_again(project: Project, machine: Callable[..., Path]) -> None:
    machine()
    paths = run(project)
    (paths.bin / "bpftool").unlink()
    run(project)
    assert (paths.bin / "bpftool").is_file()


def test_an_option_that_did_not_survive(project: Project, machine: Callable[..., Path]) -> None:
    machine(olddefconfig="sed -i -e '/CONFIG_AUDIT=/d' -e 's/landlock,//' $out/.config")
    with pytest.raises(BuildError) as caught:
        run(project)
    assert "CONFIG_AUDIT=y (is not set)" in str(caught.value)
    assert 'CONFIG_LSM="landlock,yama,bpf" (is "yama,bpf")' in str(caught.value)


def test_a_source_file_that_does_not_compile(
    project: Project, machine: Callable[..., Path]
) -> None:
    machine(bzimage="echo 'security/x.c:3:1: error: expected identifier'; exit 2")
    with pytest.raises(BuildError) as caught:
        run(project)
    words = str(caught.value)
    assert words.startswith("the kernel of upstream did not build (log: ")
    assert words.endswith("\n  security/x.c:3:1: error: expected identifier")
    # A failed phase is tried again.
    machine()
    run(project)


def test_a_full_disk_while_building(project: Project, machine: Callable[..., Path]) -> None:
    machine(bzimage="echo 'as: x.o: error: No space left on device'; exit 2")
    with pytest.raises(InfraError, match="the disk is full"):
        run(project)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 << 30, 7 << 30, 3 << 30))
    paths = BuildPaths.of("krsi", tmp_path / "build")
    with pytest.raises(InfraError, match=r"has 3\.0 GiB free, the build needs 6 GiB: 'make clean'"):
        build.require_room(tmp_path / "build", build.room(paths))
    # The sources are there, or the variant was built before.
    (tmp_path / "build/tree").mkdir()
    build.require_room(tmp_path / "build", build.room(paths))
    paths.root.mkdir()
    paths.manifest.touch()
    assert build.room(paths) == build.ROOM_AGAIN


def test_an_unknown_variant() -> None:
    with pytest.raises(UsageError, match="no variant 'x86'; there are krsi, upstream"):
        build.variant_named("x86")


def test_a_missing_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "search_path", lambda: str(tmp_path))
    with pytest.raises(InfraError, match="gcc: no such command"):
        build.toolchain()


def test_the_first_errors_of_a_log() -> None:
    log = """\
  CC      a.o
a.c:1:2: error: one
a.c:1:2: error: one
a.c:9:2: warning: not this
ld: undefined reference to `two'
make[2]: *** [Makefile:1: three] Error 1
make: *** four
"""
    assert kmake.first_errors(log) == (
        "a.c:1:2: error: one",
        "ld: undefined reference to `two'",
    )
    assert kmake.first_errors("x\nmake: *** [Makefile:1: three] Error 1\n") == (
        "make: *** [Makefile:1: three] Error 1",
    )
    assert kmake.first_errors("nothing\n") == ()


def test_damaged_stamps_are_named(project: Project, machine: Callable[..., Path]) -> None:
    machine()
    paths = run(project)
    (paths.root / "stamps.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InfraError, match=r"stamps\.json is damaged: delete it"):
        run(project)


def test_fingerprints_see_edits_where_they_count(project: Project) -> None:
    project.prepare()
    repo = project.repo
    everything = fingerprint.of_tree(repo)
    security = fingerprint.of_tree(repo, only=("security/",))
    without = fingerprint.of_tree(repo, without=("security/",))
    (repo.path / "security/security.c").write_text("edited", encoding="utf-8")
    assert fingerprint.of_tree(repo) != everything
    edited = fingerprint.of_tree(repo, only=("security/",))
    assert edited != security
    assert fingerprint.of_tree(repo, without=("security/",)) == without
    (repo.path / "security/security.c").write_text("edited again", encoding="utf-8")
    assert fingerprint.of_tree(repo, only=("security/",)) != edited
    (repo.path / "security/new.c").write_text("new", encoding="utf-8")
    repo.run("checkout", "--quiet", "security/security.c", env=DEVELOPER)
    assert fingerprint.of_tree(repo, only=("security/",)) not in (security, edited)


SUITE = upstream.Suite(("x", "y"), (), ("setup.sh",))


def give_selftests(project: Project) -> None:
    """Let the base have the test module."""
    write_tree(project.src, {f"{upstream.FOLDER}/bpf_testmod/bpf_testmod.c": "module\n"})


def test_the_client_is_built_once_and_the_module_for_each_kernel(
    project: Project, machine: Callable[..., Path]
) -> None:
    give_selftests(project)
    calls = machine()
    run(project, "upstream")
    run(project, "krsi")
    calls.unlink()
    made = upstream_client.make(SUITE, ("upstream", "krsi"), project.build)
    text = calls.read_text(encoding="utf-8")
    assert text.count("TESTS=x y") == 1
    assert text.count(f"KSRC={project.build / 'src-upstream'}") == 1
    for variant, source in (("upstream", "src-upstream"), ("krsi", "tree")):
        module = project.build / variant / "testmod"
        assert made.modules[variant] == module / "bpf_testmod.ko"
        assert (module / "bpf_testmod.c").read_text(encoding="utf-8") == "module\n"
        assert f"-C {project.build / source} O={project.build / variant / 'kernel'}" in text
    assert (made.paths.bin / "setup.sh").is_file()
    assert (made.paths.bin / "bpftool").is_file()
    upstream_client.make(SUITE, ("upstream", "krsi"), project.build)
    assert calls.read_text(encoding="utf-8") == text


def test_another_kernel_needs_another_module_and_no_other_client(
    project: Project, machine: Callable[..., Path]
) -> None:
    give_selftests(project)
    calls = machine()
    run(project, "upstream")
    upstream_client.make(SUITE, ("upstream",), project.build)
    calls.unlink()
    BuildPaths.of("upstream", project.build).vmlinux.write_text("other\n", encoding="utf-8")
    upstream_client.make(SUITE, ("upstream",), project.build)
    text = calls.read_text(encoding="utf-8")
    assert " modules\n" in text
    assert "TESTS=" not in text


def test_the_module_lies_beside_the_tests_of_the_series(
    project: Project, machine: Callable[..., Path]
) -> None:
    give_selftests(project)
    calls = machine()
    run(project, "krsi")
    upstream_client.add_module("krsi", project.build)
    assert (BuildPaths.of("krsi", project.build).bin / "bpf_testmod.ko").is_file()
    text = calls.read_text(encoding="utf-8")
    upstream_client.add_module("krsi", project.build)
    assert calls.read_text(encoding="utf-8") == text


def test_a_client_needs_its_kernel(project: Project, machine: Callable[..., Path]) -> None:
    give_selftests(project)
    machine()
    with pytest.raises(BuildError, match="make kernel VARIANT=upstream"):
        upstream_client.sources(project.build)
    run(project, "upstream")
    with pytest.raises(BuildError, match=r"'krsi' is not built .* 'make kernel VARIANT=krsi'"):
        upstream_client.make(SUITE, ("krsi",), project.build)
    shutil.rmtree(project.build / "upstream")
    with pytest.raises(BuildError, match="make kernel VARIANT=upstream"):
        upstream_client.make(SUITE, ("krsi",), project.build)
