"""The static checks: what tools say, what the stack is used for, and what is new of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fakes import Project, fake_tool
from harness import packages, proc
from harness.checks import matrix, static
from harness.checks.static import Use
from harness.errors import BuildError, UsageError
from harness.kernel import kmake
from harness.trees import tree


def test_what_tools_say() -> None:
    cocci = "init_defs_builtins: x\n./security/a.c:3:2-9: WARNING: do not do that\nsecurity/b.c:1\n"
    (one,) = static.parse(static._COCCI, cocci, ("/src", "."))
    assert (one.path, one.text) == ("security/a.c", "WARNING: do not do that")
    sphinx = (
        "/src/Documentation/bpf/x.rst:7: WARNING: Title underline too short.\nWARNING: dot(1)\n"
    )
    (two,) = static.parse(static._SPHINX, sphinx, ("/src",))
    assert (two.path, two.line) == ("Documentation/bpf/x.rst", sphinx.splitlines()[0])
    doc = (
        "security/bpf/a.c:7: warning: Function parameter 'x' not described\n1 warnings as Errors\n"
    )
    (three,) = static.parse(static._KERNEL_DOC, doc, ())
    assert three.text == "warning: Function parameter 'x' not described"


def test_what_gcc_says_of_the_stack() -> None:
    text = (
        "/sources/security/bpf/chain.c:12:5:chain_run\t64\tstatic\n"
        "chain.c:90:1:odd.part.0\t1032\tdynamic,bounded\nrubbish\n"
    )
    assert static.usage(text) == (
        Use("chain_run", "chain.c", 64, "static"),
        Use("odd.part.0", "chain.c", 1032, "dynamic,bounded"),
    )


@pytest.mark.parametrize(
    ("arguments", "returns", "size"),
    [(0, False, 24), (1, True, 40), (2, True, 56), (3, True, 56), (6, False, 72), (6, True, 88)],
)
def test_the_frame_of_a_chain(arguments: int, *, returns: bool, size: int) -> None:
    assert static.frame(arguments, -2, returns=returns) == size


def test_hooks_and_their_arguments() -> None:
    text = (
        "krsi_hook int ; a ; void ; krsi_end krsi_hook void ; b ; struct x *x ; krsi_end\n"
        "krsi_hook int ; c ; int n,\n struct path *p, u32 f ; krsi_end"
    )
    assert static.hooks(text) == (("a", 0, True), ("b", 1, False), ("c", 3, True))


def test_the_largest_come_first() -> None:
    uses = [
        Use("a", "a.c", 8, "static"),
        Use("c", "a.c", 16, "static"),
        Use("b", "", 16, "derived"),
    ]
    assert [line.split()[1] for line in static.table(uses, 2)] == ["b", "c"]
    assert static.table(uses, 1)[0].endswith("derived")


@pytest.fixture
def tools(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Path]:
    """Install a tool, which says on its standard output what a shell script does."""
    project.develop()
    folder = tmp_path / "bin"
    for tool in ("gcc", "pahole"):
        fake_tool(folder, tool, f"echo {tool} 1.0")
    monkeypatch.setattr(packages, "search_path", lambda: f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    folders = {"build": project.build, "folder": project.patches}
    monkeypatch.setattr(tree.prepare, "__kwdefaults__", folders)
    return lambda name, script: fake_tool(folder, name, script)


def run(project: Project, *names: str) -> bool:
    return static.run(static.Request(names, str(project.src), project.build))


OLD = "echo 'security/security.c:1: warning: old'"
NEW = "if grep -q nine security/security.c; then echo 'security/security.c:9: warning: new'; fi"


def test_kernel_doc_that_the_base_does_not_say(
    project: Project, tools: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tools("perl", f"echo 'other.c:1: warning: not touched'; {OLD}; {NEW}")
    assert not run(project, "kernel-doc")
    said = capsys.readouterr().out
    assert "    security/security.c:9: warning: new\n" in said
    assert "warning: old" not in said
    tools("perl", f"{OLD}")
    assert run(project, "kernel-doc")
    tools("perl", "echo no such thing >&2; exit 2")
    assert not run(project, "kernel-doc")
    assert "kernel-doc failed with status 2" in capsys.readouterr().out


def test_coccinelle_asks_every_rule_once(
    project: Project,
    tools: Callable[[str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rule = "// Options: --no-includes\n@x@\n"
    rules: dict[str, str | None] = {f"scripts/coccinelle/{n}.cocci": rule for n in ("a/a", "b/b")}
    project.commit("rules", {**rules, "scripts/coccinelle/c/c.cocci": "@script:ocaml@\n"})
    calls = tmp_path / "calls"
    said = "echo './security/security.c:9:1-2: WARNING: new'"
    told = f"if grep -qs nine security/security.c; then {said}; fi"
    tools("spatch", f'echo "$@" >>{calls}; {told}')
    assert not run(project, "coccinelle, touched")
    assert "    ./security/security.c:9:1-2: WARNING: new\n" in capsys.readouterr().out
    text = calls.read_text(encoding="utf-8")
    assert text.count("b/b.cocci") == 2  # on the series, and on the base
    assert "--no-includes" in text
    tools("spatch", f'echo "$@" >>{calls}')
    assert run(project, "coccinelle, touched")
    text = calls.read_text(encoding="utf-8")
    assert "security/bpf/hooks.c" not in text
    assert run(project, "coccinelle, touched")
    assert calls.read_text(encoding="utf-8").removeprefix(text) == "--version\n"
    assert run(project, "coccinelle")
    assert "security/bpf/hooks.c" in calls.read_text(encoding="utf-8")


def test_a_build_of_the_matrix_that_fails(
    project: Project, tools: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    del tools
    asked: list[tuple[str, ...]] = []

    def build(request: matrix.Request) -> None:
        asked.append(request.names)
        if request.names == ("ibt",):
            raise BuildError("missing endbr")

    monkeypatch.setattr(matrix, "run", build)
    assert run(project, "clang", "gcc, sparse")
    assert not run(project, "objtool")
    assert asked == [("krsi",), ("llvm",), ("ibt",)]


def test_what_cannot_be_done_is_skipped(
    project: Project, tools: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    del tools
    assert run(project, "smatch", "sphinx")
    said = capsys.readouterr().out
    assert "Debian has no package of smatch" in said
    assert "the series touches nothing that sphinx reads" in said
    assert "static: 0 passed, 0 failed, 2 skipped" in said
    with pytest.raises(UsageError, match="no check 'vax'"):
        run(project, "vax")


def test_a_jit_that_makes_another_frame(
    project: Project, tools: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    del tools
    project.prepare()
    files: dict[str, str | None] = {
        static._JIT: "".join(static._FRAME),
        static._CHAIN: "#define BPF_CHAIN_CTX_COOKIE\t(-2)\t/* why */\n",
    }
    project.commit("jit", files)
    trees = project.prepare()
    job = static.Static(
        static.Request(build=project.build),
        matrix.Sources(trees, None, project.build),  # type: ignore[arg-type]
        project.build / "static",
    )
    preprocessed = "krsi_hook int ; a ; int x ; krsi_end"

    class Done:
        stdout = preprocessed

    def gcc(*_: Sequence[str], **__: object) -> Done:
        return Done()

    monkeypatch.setattr(proc, "run", gcc)
    assert job._chains(project.build) == (Use("a", "", 40, "derived"),)
    path = project.repo.path / static._JIT
    path.write_text(path.read_text(encoding="utf-8").replace(", 16", ", 8"), encoding="utf-8")
    with pytest.raises(BuildError, match=r"mend static\.frame\(\)"):
        job._chains(project.build)


def test_the_stack_of_our_functions(
    project: Project,
    tools: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tools("make", "exit 0")
    monkeypatch.setattr(kmake.Kernel, "configure", lambda *_: {})
    monkeypatch.setattr(static.Static, "_chains", lambda *_: (Use("a", "", 40, "derived"),))
    assert not run(project, "stack")
    assert "has no object in this configuration" in capsys.readouterr().out
    out = project.build / "static/kernel/security/bpf"
    out.mkdir(parents=True)
    compiled = f"mkdir -p '{out}' && touch '{out}/hooks.o'"
    tools("make", compiled)
    assert not run(project, "stack")
    assert "hooks.su was not written" in capsys.readouterr().out
    (out / "hooks.su").write_text("hooks.c:1:1:f\t48\tstatic\n", encoding="utf-8")
    assert run(project, "stack")
    assert '"bytes": 48' in (project.build / "static/stack.json").read_text(encoding="utf-8")
    (out / "hooks.su").write_text("hooks.c:1:1:f\t600\tstatic\n", encoding="utf-8")
    assert not run(project, "stack")
    assert "f takes 600 bytes of the stack (static), more than 512" in capsys.readouterr().out
