"""From a request to files and an exit status, with machines that only pretend."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import cli, packages, proc
from harness.bench import machine, plan, record, run, size
from harness.bench.machine import Kernel
from harness.bench.plan import Boot
from harness.bench.record import Reported
from harness.errors import BuildError, UsageError
from harness.kernel import build, kmake
from harness.machine import accel
from harness.machine.accel import Answer
from harness.model import BuildPaths
from harness.proc import Result

KERNEL = Kernel("krsi", Path("/k/bzImage"), Path("/k/initrd"))
BOOT = Boot("open+close", ("call", "open+close", "idle"), ("open+close/idle",))


def test_the_machine_counts_instructions_and_knows_nothing_of_the_host() -> None:
    words = machine.argv("tcg", KERNEL, Path("/c"), Path("/r"), BOOT)
    line = " ".join(words)
    assert "-icount shift=0,sleep=off" in line
    assert "-accel tcg,thread=single" in line
    assert "-seed 1 -rtc base=2026-01-01,clock=vm" in line
    assert "-smp 1" in line
    assert "-nodefaults" in line
    assert words[-1].endswith("-- instructions call open+close idle")


def test_with_kvm_it_measures_nanoseconds() -> None:
    words = machine.argv("kvm", KERNEL, Path("/c"), Path("/r"), BOOT)
    assert "-icount" not in words
    assert words[-1].endswith("-- nanoseconds call open+close idle")


def fake_qemu(monkeypatch: pytest.MonkeyPatch, text: str | None, said: str = "") -> None:
    """A QEMU that leaves this report, or none, and this console."""

    def start(argv: list[str], **_: Any) -> Result:
        console, report = (
            Path(word.removeprefix("file:")) for word in argv if word.startswith("file:")
        )
        console.write_text(said)
        if text is not None:
            report.write_text(text)
        return Result(tuple(argv), 0, "", "", 1.0, timed_out=False, log=None)

    monkeypatch.setattr(proc, "run", start)


def test_a_boot_that_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = (
        '{"case": "open+close/idle", "calls": 16, "min": 32, "median": 32, "max": 32}\n{"end": 1}'
    )
    fake_qemu(monkeypatch, line)
    found = machine.measure("tcg", KERNEL, BOOT, tmp_path)
    assert found.problems == ()
    assert found.cases["open+close/idle"].cost == 2


def test_a_boot_that_gives_up_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_qemu(monkeypatch, None, "[ 1.0] Linux\nbench: stat returns -1, not 0\n")
    problems = machine.measure("tcg", KERNEL, BOOT, tmp_path).problems
    assert problems[-1].endswith("krsi: open-close: bench: stat returns -1, not 0")


def test_an_old_report_is_not_taken_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "open-close.jsonl").write_text('{"case": "open+close/idle"}\n{"end": 1}\n')
    fake_qemu(monkeypatch, None)
    assert machine.measure("tcg", KERNEL, BOOT, tmp_path).cases == {}


def test_kernels_take_turns() -> None:
    names = [kernel.variant for kernel in run.interleaved([KERNEL, Kernel("b", *[Path()] * 2)], 2)]
    assert names == ["krsi", "b", "krsi", "b"]


Measure = Callable[[str, Kernel, Boot, Path], Reported]


def costs(numbers: dict[str, int]) -> Measure:
    """A machine on which each call takes as many instructions as its kernel says."""

    def measure(accel: str, kernel: Kernel, boot: Boot, folder: Path) -> Reported:
        del folder
        number = numbers[kernel.variant] + (1000 if accel == "kvm" else 0)
        line = '{{"case": "{}", "calls": 1, "min": {}, "median": {}, "max": {}}}\n'
        text = "".join(line.format(case, number, number, number) for case in boot.cases)
        return record.parse(f'{text}{{"end": {len(boot.cases)}}}', boot.cases, "why")

    return measure


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Measure, str], Path]:
    """Puts machines in place that measure as told; returns where results go."""

    def put(measure: Measure, who: str = "tcg") -> Path:
        for name in run.DEFAULT:
            paths = BuildPaths.of(name, tmp_path)
            for path in (paths.bzimage, paths.vmlinux, paths.btf):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            (paths.root / "bench").mkdir(exist_ok=True)
        monkeypatch.setattr(machine, "build", lambda *_: {"init": b"", "nothing": b""})
        monkeypatch.setattr(machine, "measure", measure)
        monkeypatch.setattr(size, "of", lambda _: {"text": 1, "data": 1})
        monkeypatch.setattr(packages, "ensure", lambda *_: None)
        monkeypatch.setattr(run, "_qemu", lambda: "QEMU")
        monkeypatch.setattr(accel, "choose", lambda *_: Answer(who, "as told"))  # type: ignore[arg-type]
        monkeypatch.setattr(run, "ROOT", tmp_path)
        monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
        return tmp_path / "results/latest"

    return put


def request(tmp_path: Path, *patterns: str, baseline: Path | None = None) -> run.Request:
    return run.Request(patterns=patterns, build=False, folder=tmp_path, baseline=baseline)


def test_a_run_leaves_everything(
    pretend: Callable[[Measure], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}))
    assert run.run(request(tmp_path, "stat")) == 0
    found = record.read(latest / "bench.json")
    assert [kernel.variant for kernel in found.kernels] == ["none", "upstream", "krsi"]
    assert found.kernels[2].cost("stat/noop-38") == 101
    assert "<svg" in (latest / "report.html").read_text()
    assert (latest / "idle.svg").exists()
    assert "stat      –   100       108          +8   101          +1" in capsys.readouterr().out


def test_a_case_that_does_not_report_fails_the_run(
    pretend: Callable[[Measure], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(accel: str, kernel: Kernel, boot: Boot, folder: Path) -> Reported:
        del accel, folder
        return record.parse("", boot.cases, f"{kernel.variant}: it hung")

    latest = pretend(silent)
    assert run.run(request(tmp_path, "stat/idle")) == 1
    assert "no figure for stat/idle: krsi: it hung" in capsys.readouterr().out
    assert "krsi: it hung" in (latest / "report.html").read_text()


@pytest.mark.parametrize(("cost", "status"), [(101, 0), (90, 0), (102, 1)])
def test_a_baseline(
    pretend: Callable[[Measure], Path], tmp_path: Path, cost: int, status: int
) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}))
    run.run(request(tmp_path, "stat/idle"))
    old = (latest / "bench.json").resolve()
    pretend(costs({"none": 100, "upstream": 108, "krsi": cost}))
    assert run.run(request(tmp_path, "stat/idle", baseline=old)) == status


def test_a_baseline_may_have_more_cases(pretend: Callable[[Measure], Path], tmp_path: Path) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}))
    run.run(request(tmp_path, "stat"))
    old = (latest / "bench.json").resolve()
    assert run.run(request(tmp_path, "stat/idle", baseline=old)) == 0


def test_nanoseconds_where_kvm_runs(
    pretend: Callable[[Measure, str], Path], tmp_path: Path
) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}), "kvm")
    assert run.run(request(tmp_path, "stat/idle", "crossed")) == 0
    kernels = record.read(latest / "bench.json").kernels
    assert kernels[1].nanoseconds == {"stat/idle": (1108.0,) * run.ROUNDS}
    # Instructions are counted in emulation all the same.
    assert kernels[1].cost("stat/idle") == 108


def test_a_kernel_that_is_not_built(pretend: Callable[[Measure], Path], tmp_path: Path) -> None:
    pretend(costs({}))
    BuildPaths.of("none", tmp_path).bzimage.unlink()
    with pytest.raises(BuildError, match="make kernel VARIANT=none"):
        run.run(request(tmp_path))


def test_kernels_are_built_unless_told_otherwise(
    pretend: Callable[[Measure], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(costs({"none": 1, "upstream": 1, "krsi": 1}))
    asked: list[str] = []

    def kernel(wanted: build.Request) -> BuildPaths:
        asked.append(wanted.variant.name)
        return BuildPaths.of(wanted.variant.name, tmp_path)

    monkeypatch.setattr(build, "kernel", kernel)
    run.run(run.Request(patterns=("stat/idle",), folder=tmp_path))
    assert asked == ["none", "upstream", "krsi"]


def test_the_document_is_made_from_figures(
    pretend: Callable[[Measure], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}))
    run.run(request(tmp_path, "stat/idle"))
    monkeypatch.setattr(run, "DOCUMENT", tmp_path / "docs/BENCH.md")
    run.document(latest / "bench.json")
    assert "| stat | – | 100 | 108 | +8 | 101 | +1 |" in (tmp_path / "docs/BENCH.md").read_text()


def test_variants_are_named_with_spaces_or_commas() -> None:
    assert run.variants("") == run.DEFAULT
    assert run.variants("krsi,none krsi") == ("krsi", "none")
    with pytest.raises(UsageError, match="kirsi"):
        run.variants("kirsi")


def test_the_command_lists_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--list", "*/idle"]) == 0
    assert capsys.readouterr().out.split() == [f"{call}/idle" for call in plan.CALLS]


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--list", "stats"]) == 2
    assert "no case matches 'stats'" in capsys.readouterr().err


def test_a_json_is_one_that_others_can_read(
    pretend: Callable[[Measure], Path], tmp_path: Path
) -> None:
    latest = pretend(costs({"none": 100, "upstream": 108, "krsi": 101}))
    run.run(request(tmp_path, "stat/idle"))
    content = json.loads((latest / "bench.json").read_text())
    assert content["kernels"][0]["cases"]["stat/idle"]["values"]["min"] == 100
    assert kmake.load(latest / "bench.json") == content
