"""The command line of run_tests.py: what it takes, and what it says when it cannot."""

from pathlib import Path

import pytest

from harness import options, runtests, suites
from harness.errors import BuildError, UsageError
from harness.model import BuildPaths


def test_defaults() -> None:
    read = options.parse([])
    assert read.suite == "krsi"
    assert read.variants == ("krsi",)
    assert read.accel == "auto"
    assert read.names == ()
    assert read.cpus == 2


def test_everything() -> None:
    read = options.parse(
        [
            "--kernel",
            "krsi,upstream,krsi",
            "-k",
            "a and b",
            "-x",
            "--accel",
            "tcg",
            "--cpus",
            "4",
            "lsm_x",
            "lsm_y/z",
        ]
    )
    assert read.variants == ("krsi", "upstream")
    assert read.names == ("lsm_x", "lsm_y/z")
    assert (read.expression, read.stop_early, read.accel) == ("a and b", True, "tcg")
    assert read.cpus == 4


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("upstraem", "did you mean upstream"),
        ("xyz", "there are krsi"),
        ("krsi,nope", "nope"),
        (",", "needs"),
    ],
)
def test_unknown_variants(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        options.parse(["--kernel", text])


@pytest.mark.parametrize(
    "argv",
    [
        ["--suite", "x"],
        ["--accel", "xen"],
        ["--no-such"],
        ["--timeout", "0"],
        ["--timeout", "x"],
        ["--cpus", "0"],
        ["--cpus", "two"],
        ["-k"],
        ["--repeat", "0"],
        ["--repeat", "x"],
        ["--suite", "upstream", "--repeat", "2"],
        ["--suite", "upstream", "--until-fail"],
    ],
)
def test_wrong_usage_is_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse(argv)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("argv", "repeat", "until_fail"),
    [
        ([], 1, False),
        (["--repeat", "7"], 7, False),
        (["--until-fail"], 100, True),
        (["--until-fail", "--repeat", "1"], 1, True),
    ],
)
def test_rounds(argv: list[str], repeat: int, until_fail: bool) -> None:
    read = options.parse(argv)
    assert (read.repeat, read.until_fail) == (repeat, until_fail)


def test_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse(["--help"])
    assert caught.value.code == 0
    assert "exit status" in capsys.readouterr().out


def test_a_kernel_that_is_not_built_is_named_with_the_way_out(tmp_path: Path) -> None:
    paths = BuildPaths.of("audit", tmp_path)
    with pytest.raises(BuildError, match="make kernel VARIANT=audit"):
        suites.built("audit", paths)
    paths.bzimage.parent.mkdir(parents=True)
    paths.bzimage.touch()
    with pytest.raises(BuildError, match="lsm_tests is missing"):
        suites.built("audit", paths)
    paths.bin.mkdir()
    paths.runner.touch()
    assert suites.built("audit", paths) == paths


def test_a_shell_takes_no_tests() -> None:
    with pytest.raises(UsageError, match="--shell"):
        runtests.main(["--shell", "lsm_x"])
