"""The command line of run_tests.py: what it takes, and what it says when it cannot."""

import shlex
from pathlib import Path

import pytest

import fleet_fakes
import runs
from harness import report
from harness.bot import main as bot
from harness.errors import BuildError, UsageError
from harness.model import BuildPaths
from harness.run import options, runtests, suites

LAST = (runs.item("lsm_attach/pin_keeps", "fail"), runs.item("lsm_attach"))


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
            "--append",
            "lsm=yama  a",
            "--append",
            "b",
            "lsm_x",
            "lsm_y/z",
        ]
    )
    assert read.variants == ("krsi", "upstream")
    assert read.names == ("lsm_x", "lsm_y/z")
    assert (read.expression, read.stop_early, read.accel) == ("a and b", True, "tcg")
    assert read.cpus == 4
    assert read.append == ("lsm=yama", "a", "b")


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


@pytest.mark.parametrize(
    ("wanted", "free", "jobs", "said"),
    [
        (3, 20, 3, ""),
        (3, 6, 2, "-j 2 instead of 3: a machine takes 2G, and 6.0 GiB of memory are free"),
        (3, 1, 1, "-j 1 instead of 3"),
        (99, 99, 12, ""),
    ],
)
def test_machines_have_to_fit(
    wanted: int, free: int, jobs: int, said: str, request: pytest.FixtureRequest
) -> None:
    tmp_path: Path = request.getfixturevalue("tmp_path")
    capsys: pytest.CaptureFixture[str] = request.getfixturevalue("capsys")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemAvailable: {free << 20} kB\n")
    monkeypatch.setattr(runtests, "_MEMINFO", meminfo)
    plan = fleet_fakes.make(tmp_path, repeat=3)
    assert runtests._fitting(options.parse(["-j", str(wanted)]), plan).jobs == jobs
    out = capsys.readouterr().out
    assert said in out
    assert bool(said) == bool(out)


def test_lists_need_no_pytest(capsys: pytest.CaptureFixture[str]) -> None:
    assert runtests.main(["--list", "lsm_attach/pin_keeps"]) == 0
    assert capsys.readouterr().out.splitlines() == ["lsm_attach/pin_keeps[krsi]", "", "1 items"]


def test_expressions_narrow_a_list_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert runtests.main(["--list", "-k", "pin_keeps"]) == 0
    assert "lsm_attach/pin_keeps[krsi]" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no test matches -k 'nonesuch'"):
        runtests.main(["--list", "-k", "nonesuch"])


def test_the_last_run_is_looked_for_where_reports_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report.leave(report.new_folder(tmp_path / "elsewhere"), runs.run(*LAST))
    monkeypatch.chdir(tmp_path)
    assert runtests.main(["--list", "--last-failed", "--reports", "elsewhere"]) == 0
    assert "lsm_attach/pin_keeps[krsi]\n\n1 items" in capsys.readouterr().out
    with pytest.raises(UsageError, match=f"{tmp_path}/nowhere"):
        runtests.main(["--list", "--last-failed", "--reports", "nowhere"])


def test_how_to_run_an_item_again() -> None:
    argv = ["--kernel", "krsi,audit", "--cpus", "4", "--timeout", "90", "--accel", "tcg", "-j", "2"]
    argv += ["--append", "a=1 b"]
    environment = {"LSM_TEST_SEED": "7", "LSM_TEST_X": "a b"}
    said = options.rerun(options.parse(argv), environment, "audit", "lsm_x/a[b]")
    assert said == (
        "LSM_TEST_SEED=7 LSM_TEST_X='a b' ./run_tests.py --kernel audit --accel tcg --cpus 4 "
        "--append 'a=1 b' --timeout 90 'lsm_x/a[b]'"
    )
    again = options.parse(shlex.split(said)[3:])
    assert (again.variants, again.cpus, again.timeout) == (("audit",), 4, 90)
    assert again.append == ("a=1", "b")
    plain = options.rerun(options.parse([]), {}, "krsi", "lsm_x")
    assert plain == "./run_tests.py --kernel krsi lsm_x"


@pytest.mark.parametrize("words", [["--mbox", "-"], ["--series=x"], ["--on", "krsi", "--git", "a"]])
def test_what_makes_us_a_bot(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot, "main", lambda argv: 7 if list(argv) == words else 0)
    assert runtests.main(words) == 7
