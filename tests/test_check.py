"""`make check` finds each fault and names it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes import Project, write_tree
from harness import packages, proc
from harness.checks import check
from harness.checks.check import Step, Tally
from harness.errors import BuildError, UsageError
from harness.model import ROOT, BuildPaths
from harness.run import suites
from harness.trees import export, series


def patch(number: int, label: str) -> series.Patch:
    return series.Patch(Path(f"kernel-patches/000{number}-x.patch"), number, "x", label)


def test_labels_must_be_the_place_in_the_series() -> None:
    assert check.label_faults([patch(1, "[PATCH 1/2]"), patch(2, "[PATCH 2/2]")]) == ()
    assert check.label_faults([patch(1, "[PATCH 1/3]"), patch(2, "")]) == (
        "kernel-patches/0001-x.patch: says [PATCH 1/3], is [PATCH 1/2]",
        "kernel-patches/0002-x.patch: says nothing, is [PATCH 2/2]",
    )


def test_what_is_forgiven_is_written_down(tmp_path: Path) -> None:
    allowed = tmp_path / "allow.txt"
    allowed.write_text("# why\nMACRO 'RET' is not used\n\nOTHER never\n", encoding="utf-8")
    said = [
        "0001-x.patch:3: WARNING:MACRO: Argument 'RET' is not used",
        "0001-x.patch:4: WARNING:MACRO: Argument 'HOOK' is not used",
        "0001-x.patch:5: WARNING:ELSE: Argument 'RET' is not used",
    ]
    assert check.forgive(said, allowed) == (*said[1:], "allow.txt:4: forgives nothing")
    assert check.forgive(said, tmp_path / "none") == tuple(said)


@pytest.mark.parametrize("line", ["TYPE", "TYPE (open"])
def test_a_rule_that_is_none(tmp_path: Path, line: str) -> None:
    allowed = tmp_path / "allow.txt"
    allowed.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"allow\.txt:1: "):
        check.read_allowed(allowed)


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("security/bpf/chain.c", True),
        ("security/bpf/deep/x.c", True),
        ("Documentation/security/bpf.rst", True),
        ("tools/lib/bpf/lsm.c", True),
        ("tools/lib/bpf/deep/lsm.c", False),
        ("security/other.c", False),
    ],
)
def test_every_new_file_needs_a_maintainer(path: str, known: bool) -> None:
    text = """\
BPF LSM
F:	security/bpf/
F:	Documentation/security/bpf.rst
F:	tools/lib/bpf/*.c
THE REST
F:	*
F:	*/
"""
    assert check.unmaintained(text, [path]) == (() if known else (path,))


def test_a_step_that_raises_has_failed() -> None:
    def broken() -> list[str]:
        raise BuildError("it does not apply")

    tally = Tally()
    assert check._take(Step("fine", list), tally)
    assert not check._take(Step("broken", broken), tally)
    assert not check._take(Step("faulty", lambda: ["a", "b"]), tally)
    assert tally == Tally(passed=1, failed=2)


def test_checkpatch_speaks_for_each_patch(project: Project) -> None:
    script = 'print "$ARGV[-1]:3: WARNING: bad\\n" and exit 1 if $ARGV[-1] =~ /0002/;\n'
    write_tree(project.src, {"scripts/checkpatch.pl": script})
    project.develop()
    export.patches(project.repo, project.patches, project.root)
    said = check.checkpatch(project.repo, series.read(project.patches))
    assert said == ("0002-bpf-lsm-Build-it-anew.patch:3: WARNING: bad",)


def test_a_checkpatch_that_dies_is_no_pass(project: Project) -> None:
    project.develop()
    export.patches(project.repo, project.patches, project.root)
    said = check.checkpatch(project.repo, series.read(project.patches))
    assert len(said) == 3
    assert "checkpatch.pl" in said[0]


def test_the_steps_on_a_series(project: Project) -> None:
    maintainers = "F:\tsecurity/bpf/\nF:\ttools/testing/selftests/bpf/\n"
    write_tree(project.src, {"MAINTAINERS": maintainers})
    project.develop()
    export.patches(project.repo, project.patches, project.root)
    base = project.repo.commit("base")
    assert base
    steps = {step.name: step for step in check._series_steps(project.repo, base, project.root)}
    for name in list(steps)[:-1]:
        assert not steps[name].run(), name
    (project.root / "security/bpf/hooks.c").write_text("edited\n", encoding="utf-8")
    assert steps["views are what the series creates"].run() == ("security/bpf/hooks.c: differs",)


def test_machines_are_not_broken_without_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BuildPaths, "of", lambda _: BuildPaths(tmp_path))
    with pytest.raises(BuildError, match="make kernel VARIANT=krsi"):
        check.run_vm(tmp_path)


@pytest.mark.parametrize(("failed", "fine"), [(0, True), (1, False)])
def test_what_broken_machines_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: int, fine: bool
) -> None:
    """The tests of tests/vm/ and no others, their numbers left for CI."""
    seen: list[str] = []

    def interact(argv: Sequence[str], cwd: Path) -> int:
        seen.extend(map(str, argv))
        report = next(word for word in map(str, argv) if word.startswith("--junitxml="))
        text = f'<testsuites><testsuite tests="9" failures="{failed}" errors="0" skipped="1"/>'
        Path(report.partition("=")[2]).write_text(f"{text}</testsuites>", encoding="utf-8")
        return failed * (cwd == ROOT)

    monkeypatch.setattr(suites, "built", lambda *_: None)
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    monkeypatch.setattr(proc, "interact", interact)
    (tmp_path / "build").mkdir()
    assert check.run_vm(tmp_path, record=True) is fine
    assert seen[-5:-3] == ["-m", "vm"]
    assert seen[-2:] == ["tests/vm", "--record"]
    numbers = json.loads((tmp_path / "build/check-vm.json").read_text("utf-8"))
    assert numbers == {"passed": 8 - failed, "failed": failed, "skipped": 1}
