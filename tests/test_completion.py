"""Completion and man pages, read by the shells and the formatter that they are for."""

import shlex
from pathlib import Path

import pytest

from harness import cli, completion, proc
from harness.run import options

_ASK = """\
source {script}
COMP_WORDS=({words}) COMP_CWORD={last}
_shtab_run_tests_py ./run_tests.py {word} {before}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "bash"
    path.write_text(completion.script("bash"))
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["lsm_attach/pin"], ["lsm_attach/pin_keeps"]),
        (["--kernel", "up"], ["upstream"]),
        (["--no"], ["--no-teardown"]),
        (["--suite", "cl"], ["clients"]),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], bash: Path) -> None:
    *before, word = words
    ask = _ASK.format(
        script=shlex.quote(str(bash)),
        words=shlex.join(["./run_tests.py", *words]),
        last=len(words),
        word=shlex.quote(word),
        before=shlex.join(before),
    )
    assert proc.run(["bash", "-c", ask]).stdout.split() == offered


def test_zsh_can_read_it(tmp_path: Path) -> None:
    script = tmp_path / "_run_tests.py"
    script.write_text(completion.script("zsh"))
    text = script.read_text()
    assert text.startswith("#compdef run_tests.py")
    assert "compadd -- krsi upstream" in text
    if proc.which("zsh") is None:
        pytest.skip("no zsh here")
    proc.run(["zsh", "-n", script])


def test_man_pages_have_every_option_and_the_epilogs_lines(tmp_path: Path) -> None:
    parsers = {"run_tests.py": options.parser(), "krsi-harness": cli._parser()}
    first, second = completion.pages(parsers, tmp_path)
    text = first.read_text().replace("\\-", "-")
    assert "\n.SH NAME\nrun_tests.py - Boot a built kernel" in text
    for option in ("--last-failed", "--no-teardown", "--gdb", "--cmd", "-j"):
        assert f"\\fB{option}\\fR" in text
    assert "\n  ./run_tests.py -j 2 " in text
    assert "exit status:" in text
    assert "series-check" in second.read_text().replace("\\-", "-")


def test_man_pages_can_be_formatted(tmp_path: Path) -> None:
    if proc.which("groff") is None:
        pytest.skip("no groff here")
    (path,) = completion.pages({"run_tests.py": options.parser()}, tmp_path)
    done = proc.run(["groff", "-k", "-man", "-Tutf8", "-ww", path])
    assert "warning" not in done.stderr
    assert "--until-fail" in done.stdout.replace("\N{HYPHEN}", "-").replace("\x1b[1m", "")
