"""What bench-build measures is what it says, and nobody's work is touched for it."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Self

import pytest
from rich.console import Console

from fakes import Project, fake_tool
from harness import cli, packages, proc
from harness.errors import BuildError, InfraError, KrsiError, UsageError
from harness.machine import accel, vm
from harness.machine.console import Marker
from harness.machine.vm import Machine
from harness.measure import build_bench, build_bench_vm, build_profile
from harness.measure.build_bench import PARTS, Figure, Request
from harness.measure.build_bench_vm import Boots
from harness.model import VARIANTS, BuildPaths
from harness.trees import tree
from harness.trees.git import Repo

#: `make kernel`: three files; a ccache knows all or nothing; what has not changed is not built.
KERNEL = """\
for word; do case "$word" in
--variant=*) variant=${{word#--variant=}} ;;
--build=*) build=${{word#--build=}} ;;
esac; done
root=$build/$variant
key=$(cat $build/tree/security/bpf/*.c)
echo "${{CCACHE_DIR:-none}} $([ -d $root ] && echo again || echo fresh)" >>{calls}
{before}
mkdir -p $root
[ "$(cat $root/key 2>/dev/null)" = "$key" ] && {{ echo "nothing has changed"; exit; }}
mkdir -p $root/log $root/kernel
files='fs/a.o fs/ext4/b.o net/c.o'
[ -e $root/key ] && files=security/bpf/hooks.o
printf '%s' "$key" >$root/key
cd $root/kernel
for file in $files; do
    echo "  CC      $file" >>$root/log/kernel.log
    [ -z "$CCACHE_DIR" ] && continue
    mkdir -p $CCACHE_DIR
    [ -e $CCACHE_DIR/full ] && {{ echo hit >>$CCACHE_DIR/events; continue; }}
    echo miss >>$CCACHE_DIR/events
    $CCACHE_PREFIX sh -c : -c -o $file
done
echo "  LD      vmlinux" >>$root/log/kernel.log
[ -z "$CCACHE_DIR" ] || touch $CCACHE_DIR/full
"""
CCACHE = """\
case $1 in
--zero-stats) mkdir -p $CCACHE_DIR; : >$CCACHE_DIR/events ;;
--print-stats)
    printf 'cache_miss\\t%s\\n' $(grep -c miss $CCACHE_DIR/events)
    printf 'direct_cache_hit\\t%s\\n' $(grep -c hit $CCACHE_DIR/events)
    printf 'preprocessed_cache_hit\\t0\\n' ;;
*) echo ccache 1.0 ;;
esac
"""
BUILDS = ("cold", "warm", "unchanged", "changed")


@dataclass
class Fake:
    """The machine that a bench is run on.

    Attributes:
        project: its sources.
        calls: the file that has a line for each `make kernel`.
    """

    project: Project
    calls: Path

    @property
    def folder(self) -> Path:
        return self.project.root / "bench"

    @property
    def hooks(self) -> Path:
        """The one file of security/bpf/."""
        return self.folder / "tree/security/bpf/hooks.c"

    def called(self) -> list[str]:
        """Which ccache each `make kernel` had, and whether its output folder was fresh."""
        return [line.rpartition("/")[2] for line in self.calls.read_text().splitlines()]

    def kernel(self, before: str = ":") -> None:
        """Let each `make kernel` begin with a command."""
        script = KERNEL.format(calls=self.calls, before=before)
        fake_tool(self.project.root / "bin", "kernel", script)

    def run(self, *parts: str, profile: bool = False) -> dict[str, Any]:
        """What is recorded when these parts are measured."""
        chosen = build_bench.choose(",".join(parts))
        request = Request(
            VARIANTS["krsi"],
            chosen,
            str(self.project.src),
            profile=profile,
            folder=self.folder,
        )
        record = build_bench.run(request)
        content = json.loads(record.read_text("utf-8"))
        assert isinstance(content, dict)
        return content


@pytest.fixture
def fake(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake(project, tmp_path / "calls")
    made.kernel()
    fake_tool(tmp_path / "bin", "ccache", CCACHE)
    monkeypatch.setattr(build_bench, "_FRONT_DOOR", (str(tmp_path / "bin/kernel"),))
    monkeypatch.setattr(packages, "search_path", lambda: f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    monkeypatch.setattr(accel, "choose", lambda *_: accel.Answer("tcg", "as asked"))
    monkeypatch.setattr(vm, "find_vng", lambda: Path("vng"))
    monkeypatch.setattr(
        tree.prepare, "__kwdefaults__", {"build": project.build, "folder": project.patches}
    )
    for name in ("CCACHE_DIR", "CCACHE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    before = os.sched_getaffinity(0)
    yield made
    assert os.sched_getaffinity(0) == before


def by_part(content: dict[str, Any]) -> dict[str, Any]:
    return {figure["part"]: figure for figure in content["figures"]}


def test_everything_is_measured_from_the_right_state(fake: Fake) -> None:
    content = fake.run(*BUILDS)
    assert fake.called() == ["ccache fresh", "ccache fresh", *["none again"] * 4]
    figures = by_part(content)
    assert tuple(figures) == BUILDS
    assert figures["cold"]["ccache"] == {"hits": 0, "misses": 3}
    assert figures["warm"]["ccache"] == {"hits": 3, "misses": 0}
    assert [figures[part].get("compilations") for part in BUILDS] == [3, 3, None, 1]
    assert len(figures["unchanged"]["runs"]) == 3
    assert figures["changed"]["file"] == "security/bpf/hooks.c"
    assert all(figure["met"] for figure in figures.values())
    assert json.loads((fake.folder / "latest").read_text("utf-8")) == content


def test_nothing_but_its_own_folder_is_touched(fake: Fake) -> None:
    fake.run(*BUILDS)
    assert not fake.project.build.exists()
    assert fake.hooks.read_text("utf-8") == "old hooks\n"
    assert Repo(fake.folder / "tree").changes() == ()


def test_a_second_cold_build_is_as_cold_as_the_first(fake: Fake) -> None:
    fake.run("cold")
    assert by_part(fake.run("cold"))["cold"]["ccache"] == {"hits": 0, "misses": 3}


def test_warm_alone_fills_its_ccache_first(fake: Fake) -> None:
    content = fake.run("warm")
    assert fake.called() == ["ccache fresh", "ccache fresh"]
    assert by_part(content)["warm"]["ccache"] == {"hits": 3, "misses": 0}


def test_a_ccache_that_finds_nothing_is_not_warm(fake: Fake) -> None:
    fake.kernel("rm -f $CCACHE_DIR/full")
    with pytest.raises(InfraError, match="ccache found nothing of what was just built"):
        fake.run("warm")


def test_a_folder_that_stays_is_no_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_bench._delete(tmp_path / "not there")

    def busy(folder: Path) -> None:
        raise OSError(16, "Device or resource busy", str(folder))

    monkeypatch.setattr(shutil, "rmtree", busy)
    with pytest.raises(InfraError, match=r"ccache cannot be deleted: .*resource busy"):
        build_bench._delete(tmp_path / "ccache")


def test_a_kernel_is_built_unmeasured_from_the_users_ccache(fake: Fake) -> None:
    content = fake.run("unchanged")
    assert fake.called() == ["none fresh", *["none again"] * 3]
    assert tuple(by_part(content)) == ("unchanged",)


def test_the_users_ccache_settings_do_not_count(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCACHE_RECACHE", "1")
    fake.kernel('[ -z "$CCACHE_RECACHE" ] || exit 9')
    fake.run("cold")


def test_what_follows_a_change_is_built_from_the_old_contents(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = (PARTS["changed"], PARTS["unchanged"])
    monkeypatch.setattr(build_bench, "choose", lambda _: backwards)
    fake.run()
    # Built, changed, put right, and three times unchanged.
    assert len(fake.called()) == 6
    assert (fake.folder / "krsi/key").read_text("utf-8") == "old hooks"


def test_an_edit_that_was_left_behind_is_undone(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.run("cold")
    fake.hooks.write_text("half an ed", encoding="utf-8")
    fake.run("cold")
    assert fake.hooks.read_text("utf-8") == "old hooks\n"
    assert "undoing edits" in capsys.readouterr().out


def test_a_file_is_as_it_was_whatever_happens(fake: Fake) -> None:
    path = fake.project.src / "security/bpf/hooks.c"

    def interrupt() -> None:
        with build_bench.edited(path):
            assert path.read_text("utf-8").startswith("old hooks\n\nconst unsigned long ")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert path.read_text("utf-8") == "old hooks\n"


def test_no_two_changes_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.touch()
    seen = set()
    for _ in range(3):
        with build_bench.edited(path):
            seen.add(path.read_bytes())
    assert len(seen) == 3


def test_a_build_that_fails_takes_nothing_along(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.kernel(
        "grep -q krsi_bench $build/tree/security/bpf/hooks.c && "
        "{ echo 'krsi: kernel 0:30  CC x.o'; "
        "printf 'krsi: the kernel did not build:\\n  x.c: error: no\\n'; exit 3; }"
    )
    with pytest.raises(BuildError) as caught:
        fake.run(*BUILDS)
    assert str(caught.value) == "the kernel did not build:\n  x.c: error: no"
    assert fake.hooks.read_text("utf-8") == "old hooks\n"
    kept = json.loads((fake.folder / "latest").read_text("utf-8"))
    assert tuple(by_part(kept)) == ("cold", "warm", "unchanged")
    assert "median of 3" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "family"), [(2, UsageError), (3, BuildError), (4, InfraError)])
def test_a_failure_keeps_its_words_and_its_family(status: int, family: type[KrsiError]) -> None:
    done = proc.Result(("x",), status, "", "", 1.0)
    error = build_bench.failure(done, "applying 3 patches\nkrsi: no: see krsi: there.\n")
    assert type(error) is family
    assert str(error) == "no: see krsi: there."


@pytest.mark.parametrize(("status", "why"), [(-9, "SIGKILL"), (3, "status 3"), (1, "status 1")])
def test_a_build_that_ends_without_a_word(status: int, why: str) -> None:
    done = proc.Result(("x",), status, "", "", 1.0, log=Path("l.log"))
    said = "" if status == 3 else "krsi: kernel 0:30  CC x.o\n"
    error = build_bench.failure(done, said)
    assert type(error) is InfraError
    assert why in str(error)
    assert "(log: l.log)" in str(error)
    assert "CC" not in str(error)


def test_a_build_that_does_something_is_not_unchanged(fake: Fake) -> None:
    fake.kernel("rm -f $root/key")
    with pytest.raises(InfraError, match="nothing to do has done 'kernel' again"):
        fake.run("unchanged")


def test_a_change_that_nobody_builds_is_no_measurement(fake: Fake) -> None:
    fake.kernel("mkdir -p $root; printf '%s' \"$key\" >$root/key")
    with pytest.raises(InfraError, match=r"hooks\.c was changed, and nothing was compiled"):
        fake.run("changed")


def test_the_file_to_change(tmp_path: Path) -> None:
    security = tmp_path / "security"
    security.mkdir()
    with pytest.raises(InfraError, match=r"security\.c is missing"):
        build_bench.file_to_change(tmp_path)
    (security / "security.c").touch()
    assert build_bench.file_to_change(tmp_path) == security / "security.c"
    (security / "bpf").mkdir()
    for name, text in (("a.c", "x"), ("b.c", "xxx"), ("c.c", "xx"), ("d.h", "xxxx")):
        (security / "bpf" / name).write_text(text)
    assert build_bench.file_to_change(tmp_path).name == "b.c"


def test_no_more_processors_than_the_goals_are_for() -> None:
    before = os.sched_getaffinity(0)
    with build_bench.on_cpus(1) as used:
        assert len(os.sched_getaffinity(0)) == used == 1
    assert os.sched_getaffinity(0) == before
    with build_bench.on_cpus(len(before) + 1) as used:
        assert used == len(before)


def test_choose() -> None:
    assert build_bench.choose("") == tuple(PARTS.values())
    assert [part.name for part in build_bench.choose("vm,cold")] == ["cold", "vm"]
    with pytest.raises(UsageError, match="no part 'hot'; there are cold, warm"):
        build_bench.choose("hot")


@pytest.mark.parametrize("words", [["--only", "hot"], ["--only=warm", "--profile"]])
def test_wrong_usage_is_found_before_anything_is_built(words: list[str], fake: Fake) -> None:
    assert cli.main(["bench-build", *words]) == 2
    assert not fake.calls.exists()


def test_goals() -> None:
    warm, ratio = PARTS["warm"], PARTS["vm"]
    assert Figure(warm, 239.9, (0, 0)).met
    assert not Figure(warm, 240, (0, 0)).met
    figures = [
        Figure(warm, 241.4, (0.1, 2.2), 400.0, "why"),
        Figure(ratio, 1.18, (0, 0)),
    ]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(build_bench.figures_table(figures, "krsi", 1))
    lines = console.export_text().splitlines()
    assert "on 1 CPU; the goals are for 2" in lines[0]
    first = next(line for line in lines if "warm" in line)
    for word in ("4:01 min", "< 4:00 min", "missed", "400.0", "0.1-2.2"):
        assert word in first
    second = next(line for line in lines if "vm" in line)
    for word in ("1.18 x", "< 1.20 x", "met"):
        assert word in second
    (note,) = build_bench.notes(figures[:1])
    assert note == "warm       a fresh output folder, a full ccache: why"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.04, "2.0 s"), (59.94, "59.9 s"), (119.6, "2:00 min")]
)
def test_clock(seconds: float, text: str) -> None:
    assert build_bench.clock(seconds) == text


def test_a_profile_of_the_cold_build(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.run("cold", profile=True)
    content = fake.run("cold", "warm", profile=True)
    assert {(one["name"], one["count"]) for one in content["profile"]} == {
        ("fs", 1),
        ("fs/ext4", 1),
        ("net", 1),
    }
    out = capsys.readouterr().out
    assert "no compiler" in out
    assert "fs/ext4" in out


def test_the_wrapper_is_not_noticed(tmp_path: Path) -> None:
    environment = build_profile.install(tmp_path)
    script = 'read line; echo "$line $1"; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; exit 7'
    wrapper = environment["CCACHE_PREFIX"]
    words = [wrapper, "sh", "-c", script, "a b", "-o x", "-o", "d/x.o", "-c"]
    done = proc.run(words, env=environment, cwd=tmp_path, stdin="in\n", check=None)
    assert (done.returncode, done.stdout, done.stderr) == (7, "in -o x\n", "")
    (call,) = build_profile.collect(environment)
    assert call.output == tmp_path / "d/x.o"
    assert 0 < call.seconds <= done.seconds + 0.02


def test_notes_are_read() -> None:
    note = (
        "/b/krsi/kernel\tfs/a.o\n0m9.000000s 0m9.000000s\n1m0.250000s 0m0.500000s\n"
        "/b/krsi/kernel\t\n0m0.000s 0m0.000s\n0m0.010s 0m0.000s\n"
    )
    first, second = build_profile.parse(note)
    assert first == build_profile.Compilation(PurePath("/b/krsi/kernel/fs/a.o"), 60.75)
    assert second.output is None


def test_directories() -> None:
    root = PurePath("/b/krsi")
    calls = [
        build_profile.Compilation(PurePath(name) if name else None, seconds)
        for name, seconds in (
            ("/b/krsi/kernel/drivers/acpi/acpica/a.o", 2.0),
            ("/b/krsi/kernel/drivers/acpi/b.o", 1.0),
            ("/b/krsi/kernel/init/c.o", 2.5),
            ("/b/krsi/kernel/vmlinux.o", 0.5),
            ("/b/krsi/kernel/.tmp_12/tmp", 0.25),
            ("/b/krsi/bpftool/d.o", 0.125),
            ("/dev/null", 0.25),
            ("", 0.25),
        )
    ]
    assert [
        (one.name, one.count, one.seconds) for one in build_profile.directories(calls, root, 2)
    ] == [
        ("drivers/acpi", 2, 3.0),
        ("init", 1, 2.5),
        (build_profile.PROBES, 3, 0.75),
        (".", 1, 0.5),
        ("(bpftool)", 1, 0.12),
    ]
    assert "drivers/acpi/acpica" in {one.name for one in build_profile.directories(calls, root)}


@dataclass
class Boot:
    """How the fake machines boot.

    Attributes:
        begins: a test begins in ours.
        ends: vng ends after its command.
        booted: which machine booted, in order.
    """

    begins: bool = True
    ends: bool = True
    booted: list[str] = field(default_factory=list)


class FakeVm:
    """A machine and its channel."""

    def __init__(self, boot: Boot, machine: Machine, *more: object) -> None:
        self.boot = boot
        self.machine = machine
        self.bare = vm.bare_argv in more
        self.channel = self

    def __enter__(self) -> Self:
        self.boot.booted.append("bare" if self.bare else "ours")
        self.machine.console.touch()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, command: str, _: str) -> Marker:
        if self.boot.begins:
            words = command.partition("'<5>")[2].partition("'")[0]
            self.machine.console.write_text(f"[    1.000000] {words}\n")
        return Marker.new()

    def drain(self, _: float) -> str:
        if not self.boot.ends:
            raise TimeoutError
        return ""


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    made = Boot()

    def new(machine: Machine, *more: object) -> FakeVm:
        return FakeVm(made, machine, *more)

    monkeypatch.setattr(build_bench_vm, "Vm", new)
    monkeypatch.setattr(vm.Deadlines, "for_accel", lambda *_, **__: vm.Deadlines(1, 0.05, 0.05))
    return made


def plan(folder: Path, said: list[str] | None = None) -> build_bench_vm.Plan:
    return build_bench_vm.Plan(
        VARIANTS["krsi"],
        BuildPaths(folder / "krsi"),
        "tcg",
        Path("vng"),
        folder / "vm",
        (said if said is not None else []).append,
    )


def test_the_two_machines_boot_in_turn(boot: Boot, tmp_path: Path) -> None:
    said: list[str] = []
    boots = build_bench_vm.compare(plan(tmp_path, said), 3)
    assert [line.partition(":")[0] for line in said[:3]] == [
        "ours, 1 of 3",
        "bare, 1 of 3",
        "ours, 2 of 3",
    ]
    assert boot.booted == ["ours", "bare"] * 3
    assert [len(many) for many in (boots.ours, boots.bare, boots.ended)] == [3, 3, 3]
    assert all(up <= end for up, end in zip(boots.bare, boots.ended, strict=True))


def test_a_test_that_never_begins(boot: Boot, tmp_path: Path) -> None:
    boot.begins = False
    with pytest.raises(InfraError, match="no test began within"):
        build_bench_vm.compare(plan(tmp_path), 1)


def test_a_bare_machine_that_does_not_end(boot: Boot, tmp_path: Path) -> None:
    boot.ends = False
    with pytest.raises(InfraError, match="did not end within"):
        build_bench_vm.compare(plan(tmp_path), 1)


def test_the_ratio_is_that_of_the_medians() -> None:
    assert Boots((12.0, 6.0, 90.0), (10.0, 1.0, 11.0), (0, 0, 0)).ratio == 1.2


def test_machines_are_compared_and_recorded(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(plan: build_bench_vm.Plan, rounds: int) -> Boots:
        plan.told(f"{rounds} rounds of {plan.variant.name}")
        return Boots((12.5,), (10.0,), (11.0,))

    monkeypatch.setattr(build_bench_vm, "compare", compare)
    figure = by_part(fake.run("vm"))["vm"]
    assert fake.called() == ["none fresh"]
    assert (figure["value"], figure["met"], figure["unit"]) == (1.25, False, "x")
    assert (figure["ours"], figure["bare"], figure["ended"]) == ([12.5], [10.0], [11.0])
    assert figure["accelerator"] == "tcg (as asked)"
    assert (fake.folder / "log/vm.log").read_text("utf-8") == "5 rounds of krsi\n"
