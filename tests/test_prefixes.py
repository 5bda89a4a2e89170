"""Patch by patch: which prefixes are checked, what of, and that nothing is checked twice."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import REMOVAL, Project, fake_tool
from harness import packages
from harness.checks import prefixes
from harness.checks.prefix import Prefix, Work, lsm_faults
from harness.errors import BuildError, UsageError
from harness.kernel import build, elf
from harness.trees import tree


def prefix(number: int, *files: str) -> Prefix:
    return Prefix(number, f"commit-{number}", f"patch {number}", files, f"contents-{number}")


def test_numbers_that_a_user_gives() -> None:
    assert prefixes.numbers("", 3) == (1, 2, 3)
    assert prefixes.numbers("2", 3) == (2,)
    assert prefixes.numbers("8-9, 2 8", 9) == (2, 8, 9)


@pytest.mark.parametrize("text", ["0", "4", "2-4", "3-2", "x", "1-", "-1"])
def test_numbers_that_mean_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="is none of 1 to 3"):
        prefixes.numbers(text, 3)


def test_options_that_come_later_are_dropped_and_mistakes_are_not() -> None:
    wanted = {"CONFIG_NET": "y", "CONFIG_BPF_LSM": "y", "CONFIG_VAX": "y"}
    here = frozenset({"CONFIG_NET"})
    asked, dropped = prefixes.split(wanted, here, here | {"CONFIG_BPF_LSM"})
    assert asked == {"CONFIG_NET": "y", "CONFIG_VAX": "y"}
    assert dropped == ("CONFIG_BPF_LSM",)


def test_what_is_chosen() -> None:
    some = [prefix(number) for number in range(1, 10)]
    plan = prefixes.choose(some, lambda each: each.number == 3, seed="a")
    assert plan.known == (some[2],)
    assert plan.chosen == (*some[:2], *some[3:])
    assert plan.left == ()


def test_a_sample_stays_while_the_series_stays() -> None:
    some = [prefix(number) for number in range(1, 50)]

    def sample(seed: str) -> tuple[int, ...]:
        plan = prefixes.choose(some, lambda _: False, seed=seed, most=5)
        assert len(plan.chosen) == 5
        assert len(plan.left) == 44
        return tuple(each.number for each in plan.chosen)

    assert sample("a") == sample("a")
    assert sample("a") == tuple(sorted(sample("a")))
    assert len({sample(str(seed)) for seed in range(10)}) == 10


def test_a_sample_ends_at_what_is_left() -> None:
    some = [prefix(number) for number in range(1, 4)]
    plan = prefixes.choose(some, lambda each: each.number < 3, seed="a", most=2)
    assert plan.chosen == (some[2],)
    assert prefixes.choose(some, lambda _: False, seed="a", most=0).chosen == ()


@pytest.mark.parametrize(
    ("minutes", "spent", "fresh", "count"),
    [
        (9, [], True, 0),
        (10, [], True, 1),
        (18, [], True, 3),
        (4, [], False, 1),
        (10, [100.0, 200.0, 900.0], False, 3),
        (20, [900.0], True, 1),
    ],
)
def test_how_many_fit(minutes: float, spent: list[float], *, fresh: bool, count: int) -> None:
    assert prefixes.fitting(minutes, spent, fresh=fresh) == count


def test_what_a_list_of_lsms_says() -> None:
    assert lsm_faults("capability,landlock,bpf\n", present=True) == ()
    assert lsm_faults("capability,landlock", present=False) == ()
    assert lsm_faults("capability,bpfilter", present=True) == (
        "the LSM bpf is missing: capability,bpfilter",
    )
    assert lsm_faults("bpf", present=False) == ("the LSM bpf is there: bpf",)
    assert lsm_faults(" \n", present=False) == ("the kernel does not list its LSMs",)


#: A make that configures and links; it counts its calls and says what it is told to.
MAKE = """\
echo "$@" >>{calls}
while [ $# -gt 0 ]; do case "$1" in
-C) src=$2; shift ;;
O=*) out=${{1#O=}} ;;
tinyconfig) echo 'CONFIG_TINY=y' >$out/.config ;;
vmlinux) mkdir -p $out/security $out/arch/x86/boot; : >$out/security/security.o
	: >$out/vmlinux; : >$out/arch/x86/boot/bzImage; {linked} ;;
*.o) mkdir -p $out/${{1%/*}}; : >$out/$1; {compiled} ;;
esac; shift; done
"""


class Image:
    """What was linked, carrying every option that was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def configuration(self) -> dict[str, str]:
        text = (self.path.parent / ".config").read_text(encoding="utf-8")
        return dict(line.split("=") for line in text.splitlines() if "=" in line)

    def section(self, name: str) -> bytes:
        return name.encode()


Machine = Callable[..., Path]


@pytest.fixture
def machine(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """A series of three patches, a fake make and a fake machine; returns the list of calls."""
    project.prepare()
    project.commit(REMOVAL, {"security/bpf/hooks.c": None, "security/Kconfig": "config OLD\n"})
    new = "config OLD\n\tbool\nconfig BPF_LSM\n\tbool\n"
    nine = "line nine\n"
    project.commit("lsm: Build it anew", {"security/Kconfig": new, "security/security.c": nine})
    prog = "tools/testing/selftests/bpf/prog_tests/lsm_attach.c"
    project.commit("selftests/bpf: Test it", {prog: "test\n"})

    def install(linked: str = ":", compiled: str = ":") -> Path:
        calls, folder = tmp_path / "calls", tmp_path / "bin"
        calls.unlink(missing_ok=True)
        fake_tool(folder, "make", MAKE.format(calls=calls, linked=linked, compiled=compiled))
        for tool in ("gcc", "ld", "clang", "pahole"):
            fake_tool(folder, tool, f"echo {tool} 1.0")
        monkeypatch.setattr(packages, "search_path", lambda: f"{folder}:/usr/bin:/bin")
        monkeypatch.setattr(packages, "ensure", lambda *_: None)
        monkeypatch.setattr(prefixes, "ROOM", 1)
        monkeypatch.setattr(elf, "Image", Image)
        wanted = {"CONFIG_TINY": "y", "CONFIG_BPF_LSM": "y"}
        monkeypatch.setattr(build, "requested", lambda _: wanted)
        monkeypatch.setattr(build, "tools_and_selftests", lambda *_: None)
        folders = {"build": project.build, "folder": project.patches}
        monkeypatch.setattr(tree.prepare, "__kwdefaults__", folders)
        return calls

    return install


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool, tuple[str, ...]]]:
    """What was booted: the number, whether the LSM has to be there, and which tests there are."""
    seen: list[tuple[int, bool, tuple[str, ...]]] = []

    def boot(one: Work, wanted: dict[str, str]) -> Iterable[str]:
        seen.append((one.prefix.number, "CONFIG_BPF_LSM" in wanted, one.tests))
        return ()

    monkeypatch.setattr(Work, "boot", boot)
    return seen


def run(project: Project, patches: str = "", **words: float) -> bool:
    sample = int(words["sample"]) if "sample" in words else None
    return prefixes.run(
        prefixes.Request(
            patches, sample, words.get("minutes"), kernel_src=str(project.src), build=project.build
        )
    )


def test_every_prefix_and_then_nothing(
    project: Project,
    machine: Machine,
    booted: list[tuple[int, bool, tuple[str, ...]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = machine()
    assert run(project)
    assert booted == [(1, False, ()), (2, True, ()), (3, True, ("lsm_attach",))]
    said = capsys.readouterr().out
    assert "has no CONFIG_BPF_LSM" in said
    assert "series-check: 3 of 3 prefixes are well" in said
    text = calls.read_text(encoding="utf-8")
    # The third patch brings a selftest: no kernel is built for it, nothing is looked at again.
    assert text.count(" vmlinux bzImage") == 2
    assert text.count("W=1 security/security.o") == 1
    assert run(project)
    assert calls.read_text(encoding="utf-8") == text
    assert len(booted) == 3
    assert "checking none; 3 were well before" in capsys.readouterr().out


def test_a_series_that_was_edited(
    project: Project, machine: Machine, booted: list[tuple[int, bool, tuple[str, ...]]]
) -> None:
    machine()
    assert run(project)
    project.commit("lsm: One more", {"security/security.c": "line ten\n"})
    assert run(project)
    assert [number for number, _, _ in booted] == [1, 2, 3, 4]


def test_what_was_seen_of_the_series_as_it_is(
    project: Project, machine: Machine, booted: list[tuple[int, bool, tuple[str, ...]]]
) -> None:
    machine()
    asked = prefixes.Request(build=project.build)
    assert prefixes.seen(asked, "0123") == ()
    assert run(project, "2")
    assert len(booted) == 1
    repo = project.repo
    state = tree.load(repo)
    assert state is not None
    tree.save(repo, replace(state, series="0123", applied=repo.head))
    found = prefixes.seen(asked, "0123")
    assert [(each.number, result is not None) for each, result in found] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    assert prefixes.seen(asked, "4567") == ()
    project.commit("lsm: One more", {"security/security.c": "line ten\n"})
    assert prefixes.seen(asked, "0123") == ()


def test_a_new_warning_fails_its_prefix_until_it_is_mended(
    project: Project, machine: Machine, booted: list[tuple[int, bool, tuple[str, ...]]]
) -> None:
    new = "echo $src/security/security.c:9:1: warning: new"
    machine(compiled=f"if grep -q nine $src/security/security.c; then {new}; fi")
    for _ in range(2):
        assert not run(project, "2")
    assert [number for number, _, _ in booted] == [2, 2]  # it is booted all the same
    machine()
    assert run(project, "2")


def test_a_warning_while_building_does_not_go_away(
    project: Project,
    machine: Machine,
    booted: list[tuple[int, bool, tuple[str, ...]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "WARN: resolve_btfids: unresolved symbol bpf_lsm_x"
    machine(linked=f"if grep -q nine $src/security/security.c; then echo {said}; fi")
    for _ in range(2):
        assert not run(project)
        assert "1 of 3 prefixes are well; FAILED: 2, 3" in capsys.readouterr().out
    assert booted == [(1, False, ())]


def test_an_option_that_does_not_come_out(
    project: Project,
    machine: Machine,
    booted: list[tuple[int, bool, tuple[str, ...]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(linked="sed -i -e s/CONFIG_BPF_LSM=y/CONFIG_X=y/ $out/.config")
    assert not run(project, "2")
    assert "does not hold what was asked for: CONFIG_BPF_LSM=y" in capsys.readouterr().out
    assert not booted


def test_a_patch_that_does_not_build_does_not_stop_the_others(
    project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()

    def boot(one: Work, wanted: dict[str, str]) -> Iterable[str]:
        del wanted
        if one.prefix.number == 2:
            raise BuildError("broken")
        return ()

    monkeypatch.setattr(Work, "boot", boot)
    assert not run(project)
    monkeypatch.setattr(Work, "boot", lambda *_: ())
    assert run(project)


def test_a_sample_and_a_time(
    project: Project,
    machine: Machine,
    booted: list[tuple[int, bool, tuple[str, ...]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine()
    assert run(project, minutes=1)
    assert not booted
    assert "checking none in 1 minutes; 3 are left for another time" in capsys.readouterr().out
    assert run(project, sample=1)
    assert len(booted) == 1
    assert run(project, sample=2)
    assert sorted(number for number, _, _ in booted) == [1, 2, 3]


def test_a_checked_out_prefix_that_was_edited(
    project: Project, machine: Machine, booted: list[tuple[int, bool, tuple[str, ...]]]
) -> None:
    machine()
    assert run(project, "2")
    path = project.build / "series/tree/security/security.c"
    path.write_text("an edit\n", encoding="utf-8")
    with pytest.raises(UsageError, match="edited"):
        run(project, "1")
    (project.build / "series/results.json").unlink()
    with pytest.raises(UsageError, match="was edited: only what is committed is checked"):
        run(project, "2")
    assert len(booted) == 1
