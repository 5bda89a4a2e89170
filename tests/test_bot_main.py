"""./run_tests.py --mbox: from the command line to reports and an exit status."""

import errno
import json
import os
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from bot_fakes import ROOM, Bench, NoMachines, unavailable
from harness import proc
from harness.bot import main, workshop
from harness.bot.main import Request
from harness.errors import BuildError, InfraError, UsageError
from harness.model import ROOT
from harness.run import runtests
from letters import letter, mbox, save, thread

needs_sandbox = pytest.mark.skipif(bool(unavailable()), reason=f"no sandbox: {unavailable()}")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench.make(tmp_path)
    monkeypatch.setattr(main, "Steps", NoMachines)
    monkeypatch.setattr(workshop, "base_of", lambda *_: made.base())
    return made


def run(bench: Bench, mails: bytes, **more: Any) -> tuple[int, Path]:
    source = save(bench.root / "in.mbox", mails)
    out = bench.root / "report"
    request = Request(source=str(source), output=out, build=bench.build, disk=ROOM, **more)
    return main.run(request), out


def load(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "report.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


@needs_sandbox
def test_a_series_gets_its_reports_and_logs(bench: Bench) -> None:
    bench.commit("kernel: Break", {"kernel/one.c": "broken\n"})
    code, out = run(bench, mbox(*bench.mails()))
    assert code == 3
    found = load(out)
    assert found["exit_code"] == 3
    (bad,) = [each for each in found["checks"] if each["status"] == "fail"]
    assert (bad["name"], bad["patch"]) == ("builds", 1)
    assert "kernel/one.c" in (out / "logs" / bad["log"]).read_text("utf-8")
    said = message_from_string((out / "report.txt").read_text("utf-8"))
    assert said["In-Reply-To"] == found["series"]["message_id"]
    assert "c@example.org" in said["Cc"]
    assert {path.name for path in out.iterdir()} == {"report.txt", "report.json", "logs"}


@needs_sandbox
def test_each_series_gets_its_own_report_and_the_worst_counts(bench: Bench) -> None:
    bench.commit("kernel: Break", {"kernel/one.c": "broken\n"})
    other = letter("[PATCH] Unsigned", id_="other", body="No.\n---\n")
    other += b"diff --git a/../x b/../x\n--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n"
    code, out = run(bench, mbox(*bench.mails(), other))
    assert code == 3
    assert [load(out / name)["exit_code"] for name in ("1", "2")] == [3, 1]


@needs_sandbox
def test_our_own_failure_is_not_the_series_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise InfraError("the cable is out.")

    monkeypatch.setattr(NoMachines, "run", fail)
    code, out = run(bench, mbox(*thread(1)))
    assert code == 4
    assert load(out)["error"] == "the cable is out."
    assert "not the series' own" in " ".join((out / "report.txt").read_text("utf-8").split())


@needs_sandbox
def test_what_the_machine_refuses_is_answered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.E2BIG, "Argument list too long", "bwrap")

    monkeypatch.setattr(NoMachines, "run", fail)
    code, out = run(bench, mbox(*thread(1)))
    assert code == 4
    assert load(out)["error"] == "bwrap: Argument list too long."
    assert load(out)["exit_code"] == 4


def test_a_root_that_may_mount_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = proc.Result(("unshare",), 1, "", "", 0.1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv(main._INSIDE, raising=False)
    monkeypatch.setattr(proc, "run", lambda *_, **__: failed)
    with pytest.raises(InfraError, match="allow namespaces"):
        main.main(["--mbox", "x"])


@needs_sandbox
def test_an_interruption_leaves_what_was_found(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workshop.Workshop, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(bench, mbox(*bench_mails(bench)))
    found = load(bench.root / "report")
    assert found["exit_code"] == 4
    states = {each["name"]: each["status"] for each in found["checks"]}
    assert (states["checkpatch"], states["applies"]) == ("pass", "miss")


def bench_mails(bench: Bench) -> list[bytes]:
    bench.commit("doc: x", {"Documentation/index": "x\n"})
    return bench.mails()


@needs_sandbox
def test_a_range_of_commits_is_a_series(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.commit("doc: x", {"Documentation/index": "x\n"})
    bench.commit("doc: y", {"Documentation/index": "y\n"})
    monkeypatch.chdir(bench.root / "author")
    out = bench.root / "report"
    main.run(Request(git="origin/HEAD..HEAD", output=out, build=bench.build, disk=ROOM))
    assert [each["title"] for each in load(out)["series"]["patches"]] == ["doc: x", "doc: y"]
    with pytest.raises(UsageError, match="no commit"):
        main.run(Request(git="HEAD..HEAD", build=bench.build))
    with pytest.raises(UsageError, match="bad revision"):
        main.run(Request(git="nowhere..HEAD", build=bench.build))
    with pytest.raises(UsageError, match="not a range"):
        main.run(Request(git="--output=/x", build=bench.build))


def test_nothing_built_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="make kernel VARIANT=upstream"):
        workshop.base_of(main.PLACES["base"], tmp_path)


@pytest.mark.parametrize(
    "argv",
    [
        ["--mbox", "x", "--series", "y"],
        ["--mbox", "x", "--on", "mars"],
        ["--git"],
        ["--mbox", "x", "lsm_attach"],
    ],
)
def test_wrong_usage_is_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.parse(argv)
    assert ended.value.code == 2


def test_a_series_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--mbox takes a file"):
        main.parse(["--series", str(tmp_path / "x")])
    assert main.parse(["--series", str(tmp_path), "--on", "krsi"]).on == "krsi"


def test_the_folder_for_reports_does_not_depend_on_where_we_are_later() -> None:
    assert main.parse(["--mbox", "-", "--output", "out"]).output == Path.cwd() / "out"


def test_run_tests_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []

    def take(argv: list[str]) -> int:
        taken.append(argv)
        return 7

    monkeypatch.setattr(main, "main", take)
    assert runtests.main(["--mbox=-", "--on", "base"]) == 7
    assert taken == [["--mbox=-", "--on", "base"]]


@pytest.mark.parametrize("data", [b"", b"not a mail at all\n"])
def test_the_command_itself_says_2_to_what_is_no_series(data: bytes, tmp_path: Path) -> None:
    source = save(tmp_path / "x", data)
    done = proc.run(["./run_tests.py", "--mbox", source], cwd=ROOT, check=None)
    assert done.returncode == 2
    assert "run_tests.py: " in done.stderr
