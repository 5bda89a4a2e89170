"""The build matrix: what a build asks for, what counts as a complaint, what is built again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import Project, fake_tool
from harness import packages
from harness.checks import matrix
from harness.errors import BuildError, UsageError
from harness.kernel.arch import X86, Arch
from harness.machine import boot
from harness.trees import tree

COMMON = {"CONFIG_NET": "y", "CONFIG_INET": "y", "CONFIG_EXT4_FS": "y", "CONFIG_BTF": "y"}
LIST = """
[reduced]
config = "# CONFIG_EXT4_FS is not set"
lost = "CONFIG_BTF"

[booted]
config = "CONFIG_BTF=y"

[build.plain]
what = "nothing special"

[build.net-n]
what = "no network"
config = "# CONFIG_NET is not set"
lost = "CONFIG_INET"

[build.llvm]
what = "another compiler, booted"
clang = true
boot = true

[build.arm64]
what = "another architecture"
arch = "arm64"
sparse = true
"""


def test_what_a_build_asks_for() -> None:
    plain, net, llvm, arm64 = matrix.read(LIST, COMMON)
    assert plain.config == {"CONFIG_NET": "y", "CONFIG_INET": "y", "CONFIG_EXT4_FS": "n"}
    assert plain.lost == {"CONFIG_BTF": "y"}
    assert net.config == {"CONFIG_EXT4_FS": "n", "CONFIG_NET": "n"}
    assert net.lost == {"CONFIG_BTF": "y", "CONFIG_INET": "y"}
    assert llvm.config["CONFIG_BTF"] == "y"
    assert llvm.lost == {}
    assert (plain.compiler, plain.words) == ("gcc", ())
    assert (llvm.compiler, llvm.words) == ("clang", ("LLVM=1",))
    assert arm64.compiler == "aarch64-linux-gnu-gcc"
    assert arm64.words == ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
    assert [need.package for need in arm64.needs] == ["gcc-aarch64-linux-gnu", "sparse"]
    assert [need.package for need in llvm.needs] == ["qemu-system-x86", "lld-19"]


def test_clang_needs_no_other_compiler_for_another_architecture() -> None:
    text = '[build.both]\nwhat = "both"\narch = "arm64"\nclang = true\n'
    (both,) = matrix.read(text, COMMON)
    assert (both.compiler, both.words) == ("clang", ("LLVM=1", "ARCH=arm64"))
    assert [need.package for need in both.needs] == ["lld-19"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[build", r"list: Expected ']'"),
        ("[builds.x]", r"list: \[builds\] is not \[reduced\]"),
        ("[build.x]", r"list: \[build\.x\]: says nothing about `what` it is"),
        ('[build.x]\nwhat = "x"\ncolour = "red"', r"\[build\.x\]: 'colour' is not known"),
        ('[build.x]\nwhat = "x"\nclang = "yes"', r"'clang' is not known, or not a bool"),
        ('[build.x]\nwhat = "x"\narch = "vax"', r"no arch 'vax'; there are x86, arm64"),
        ('[build.x]\nwhat = "x"\nconfig = "NET=n"', r"list: \[build\.x\]:1: not a configuration"),
        ('[build.x]\nwhat = "x"\nlost = "CONFIG_VAX"', r"lost names CONFIG_VAX, which"),
        (
            '[build.x]\nwhat = "x"\nlost = "CONFIG_NET"\nconfig = "# CONFIG_NET is not set"',
            r"lost names CONFIG_NET, which",
        ),
        ("[build]\nx = 1", r"list: \[build\.x\] is no table"),
    ],
)
def test_a_list_that_is_wrong(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        matrix.read(text, COMMON, "list")


def test_our_own_list() -> None:
    names = {entry.name for entry in matrix.listed()}
    wanted = {"lsm-n", "enforce-n", "cgroup-bpf-n", "net-n", "security-network-n", "arm64"}
    assert wanted | {"security-path-n", "keys-n", "audit-n", "llvm"} <= names


def test_choosing() -> None:
    entries = matrix.read(LIST, COMMON)
    assert matrix.choose(entries, []) == entries
    names = [entry.name for entry in matrix.choose(entries, ["llvm", "plain"])]
    assert names == ["plain", "llvm"]
    with pytest.raises(UsageError, match="no build 'vax'"):
        matrix.choose(entries, ["vax"])


def test_options_that_are_not_lost() -> None:
    lost = {"CONFIG_A": "y", "CONFIG_B": "y", "CONFIG_C": '"c"'}
    got = {"CONFIG_A": "y", "CONFIG_B": "m", "CONFIG_C": '"d"'}
    assert matrix.survivors(lost, got) == ("CONFIG_A",)


#: A make that configures, links and compiles; it counts its calls and says what it is told to.
MAKE = """\
echo "$@" >>{calls}
while [ $# -gt 0 ]; do case "$1" in
-C) src=$2; shift ;;
O=*) out=${{1#O=}} ;;
tinyconfig) echo 'CONFIG_TINY=y' >$out/.config ;;
olddefconfig) {olddefconfig} ;;
vmlinux) {vmlinux}; mkdir -p $out/security/bpf; : >$out/security/security.o; : >$out/vmlinux
	{linked} ;;
*.o) mkdir -p $out/${{1%/*}}; : >$out/$1; {compiled} ;;
esac; shift; done
"""


@pytest.fixture
def machine(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Install a fake make and a list of two builds; returns the file that lists the calls."""
    project.develop()

    def install(
        olddefconfig: str = ":", vmlinux: str = ":", linked: str = ":", compiled: str = ":"
    ) -> Path:
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        folder = tmp_path / "bin"
        script = MAKE.format(
            calls=calls,
            olddefconfig=olddefconfig,
            vmlinux=vmlinux,
            linked=linked,
            compiled=compiled,
        )
        fake_tool(folder, "make", script)
        for tool in ("gcc", "pahole"):
            fake_tool(folder, tool, f"echo {tool} 1.0")
        monkeypatch.setattr(packages, "search_path", lambda: f"{folder}:/usr/bin:/bin")
        monkeypatch.setattr(packages, "ensure", lambda *_: None)
        monkeypatch.setattr(matrix, "ROOM", 1)
        entries = matrix.read(LIST, COMMON)[:2]
        monkeypatch.setattr(matrix, "listed", lambda: entries)
        monkeypatch.setattr(
            tree.prepare,
            "__kwdefaults__",
            {"build": project.build, "folder": project.patches},
        )
        return calls

    return install


def run(project: Project, *names: str, configure: bool = False) -> None:
    matrix.run(matrix.Request(names, str(project.src), configure, project.build))


def report(project: Project) -> dict[str, list[str]]:
    content = json.loads((project.build / "matrix.json").read_text(encoding="utf-8"))
    return {each["name"]: each["faults"] for each in content}


def test_all_builds_and_then_nothing(
    project: Project, machine: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    calls = machine()
    run(project)
    assert report(project) == {"plain": [], "net-n": []}
    text = calls.read_text(encoding="utf-8")
    assert "W=1 security/security.o" in text
    assert "src-upstream" not in text
    run(project)
    assert calls.read_text(encoding="utf-8") == text
    assert "as before" in capsys.readouterr().out
    path = project.repo.path / "security/security.c"
    path.write_text(path.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    run(project, "plain")
    more = calls.read_text(encoding="utf-8").removeprefix(text)
    assert "vmlinux" in more
    assert "matrix-net-n" not in more


def test_what_the_base_names_in_vain_is_not_the_series_fault(
    project: Project, machine: Callable[..., Path]
) -> None:
    names = ("of_base", "ours", "bpf_lsm_made_by_a_macro")
    lines = [f"WARN: resolve_btfids: unresolved symbol {name}" for name in names]
    machine(vmlinux="\n".join(f"echo '{line}'" for line in lines))
    with pytest.raises(BuildError):
        run(project, "plain")
    assert report(project) == {"plain": lines[1:]}


def test_one_failure_does_not_stop_the_others(
    project: Project, machine: Callable[..., Path]
) -> None:
    broken = "case $out in *plain*) echo 'ld: undefined reference to `x'; exit 2 ;; esac"
    machine(vmlinux=broken)
    with pytest.raises(BuildError, match=r"1 of 2 builds failed: plain\."):
        run(project)
    assert report(project)["net-n"] == []
    assert "undefined reference" in report(project)["plain"][0]


def test_an_option_that_does_not_come_out(project: Project, machine: Callable[..., Path]) -> None:
    calls = machine(
        olddefconfig="sed -i -e 's/CONFIG_INET=y/CONFIG_BTF=y/' $out/.config",
    )
    with pytest.raises(BuildError):
        run(project, "plain", configure=True)
    assert report(project)["plain"] == [
        "asked for, but not there: CONFIG_INET=y (is not set)",
        "there, although said to be lost: CONFIG_BTF",
    ]
    assert "vmlinux" not in calls.read_text(encoding="utf-8")


def test_warnings_that_the_base_does_not_have(
    project: Project, machine: Callable[..., Path]
) -> None:
    old = "echo $src/security/security.c:1:1: warning: old"
    new = "echo $src/security/security.c:9:1: warning: new"
    new = f"if grep -q nine $src/security/security.c; then {new}; fi"
    foreign = "echo $src/kernel/bpf/verifier.c:1:1: warning: not touched"
    calls = machine(compiled=f"{old}; {foreign}; {new}")
    for _ in range(2):  # it must not go away by itself
        with pytest.raises(BuildError):
            run(project, "plain")
        (fault,) = report(project)["plain"]
        assert fault.endswith("/tree/security/security.c:9:1: warning: new")
    assert "src-upstream" in calls.read_text(encoding="utf-8")
    machine(compiled=f"{old}; {foreign}")
    run(project, "plain")


def test_warnings_while_building_stay_until_mended(
    project: Project, machine: Callable[..., Path]
) -> None:
    said = "echo WARN: resolve_btfids: unresolved symbol bpf_lsm_x"
    machine(linked=said)
    for _ in range(2):
        with pytest.raises(BuildError):
            run(project, "plain")
        assert report(project)["plain"] == [said.removeprefix("echo ")]
    machine()
    run(project, "plain")


def test_a_warning_before_an_error_is_not_lost(
    project: Project, machine: Callable[..., Path]
) -> None:
    said = "echo '  CC      security/security.o'; echo security/security.c:1:1: warning: x; exit 2"
    machine(linked=said)
    with pytest.raises(BuildError):
        run(project, "plain")
    assert (project.build / "matrix-plain/kernel/security/security.o").exists()
    machine(vmlinux="[ ! -e $out/security/security.o ] || exit 2")
    run(project, "plain")


def test_a_build_that_is_booted(
    project: Project, machine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = machine()
    text = (
        '[build.audit]\nwhat = "audit"\nboot = true\nconfig = "# CONFIG_BPF_LSM_ENFORCE is not set"'
    )
    entries = matrix.read(text, COMMON)
    monkeypatch.setattr(matrix, "listed", lambda: entries)
    verdicts = [("deny: error 13",), ()]
    booted = []

    def fake(arch: Arch, image: Path, folder: Path, *, audit: bool) -> tuple[str, ...]:
        booted.append((arch, image.relative_to(project.build), folder.name, audit))
        return verdicts.pop(0)

    monkeypatch.setattr(boot, "run", fake)
    with pytest.raises(BuildError):
        run(project)
    assert report(project) == {"audit": ["deny: error 13"]}
    before = calls.read_text(encoding="utf-8")
    assert " vmlinux bzImage" in before
    run(project)
    run(project)
    # Booted again, not built again; and once it was well, neither.
    assert calls.read_text(encoding="utf-8") == before
    image = Path("matrix-audit/kernel/arch/x86/boot/bzImage")
    assert booted == [(X86, image, "boot", True)] * 2
