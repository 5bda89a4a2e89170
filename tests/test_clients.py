"""Which client tests there are, what they are compiled from, and the runner in the guest."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakes import fake_tool, quiet
from harness import packages
from harness.errors import BuildError, InfraError, UsageError
from harness.model import BuildPaths
from harness.run import clients
from harness.verdicts import ktap


def test_scan_finds_functions_and_options() -> None:
    source = """
KERNEL_OPTIONS = "lsm=yama apparmor=1"
OTHER = KERNEL_OPTIONS
def helper() -> None: ...
def test_two() -> None: ...
# def test_commented(): ...
def test_one() -> None:
    def test_inner() -> None: ...
"""
    assert clients.scan(source) == (("two", "one"), ("lsm=yama", "apparmor=1"))
    assert clients.scan("") == ((), ())


def test_those_that_boot_alike_are_neighbours(tmp_path: Path) -> None:
    for name, options in (("a", "x"), ("b", ""), ("c", "x"), ("d", "")):
        text = f"KERNEL_OPTIONS = {options!r}\n"
        (tmp_path / f"client_{name}.py").write_text(text, "utf-8")
    (tmp_path / "support.py").touch()
    found = clients.discover(tmp_path)
    assert [test.name for test in found] == ["client_b", "client_d", "client_a", "client_c"]
    assert [test.options for test in found] == [(), (), ("x",), ("x",)]


def test_an_empty_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="client_"):
        clients.discover(tmp_path)


def test_every_client_has_subtests() -> None:
    assert all(test.subtests for test in clients.discover())


def test_a_package_that_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InfraError("no network")

    monkeypatch.setattr(packages, "ensure", refuse)
    monkeypatch.setattr(packages, "lacking", lambda _: ("libbpf-dev",))
    monkeypatch.setattr(clients, "_extract_debian_13", lambda _: None)
    said: list[str] = []
    clients.prepare([BuildPaths(tmp_path)], said.append)
    assert set(said) == {"client tests: no network"}
    assert not list(tmp_path.iterdir())


def test_a_part_that_does_not_compile_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "CLIENTS", ())
    monkeypatch.setattr(packages, "CLIENT_PARTS", ())
    monkeypatch.setattr(clients, "DEBIAN_13", tmp_path / "debian-13")
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    fake_tool(tools, "make", 'echo "$@"')
    paths = BuildPaths(tmp_path / "krsi")
    clients.prepare([paths], quiet)
    said = (clients.artifacts(paths) / "make.log").read_text()
    assert f"OUT={paths.root}/clients BTF={paths.root}/vmlinux.btf" in said
    fake_tool(tools, "make", "exit 1")
    with pytest.raises(BuildError, match=r"make\.log"):
        clients.prepare([paths], quiet)


CLIENT = """
import os, time
import support

def test_passes(): print("unseen")
def test_fails(): assert False, "because"
def test_skips(): raise support.SkipTest("not here")
def test_dies(): os.kill(os.getpid(), 9)
def test_leaves(): raise SystemExit(0)
def test_hangs(): time.sleep(60)
def test_never(): pass
"""


def run(folder: Path, *names: str, timeout: str = "30") -> tuple[int, ktap.Report]:
    """What the runner makes of CLIENT."""
    (folder / "client_x.py").write_text(CLIENT, "utf-8")
    for name in ("runner.py", "support.py"):
        (folder / name).write_bytes((clients.SOURCES / name).read_bytes())
    output = folder / "report"
    options = (f"--timeout={timeout}", f"--output={output}", "--build=/nowhere")
    command = [sys.executable, str(folder / "runner.py"), *options]
    done = subprocess.run([*command, "--", *names], check=False, timeout=60)
    return done.returncode, ktap.parse(output.read_text("utf-8"))


def test_the_runner_reports_what_became_of_each(tmp_path: Path) -> None:
    names = ["passes", "fails", "skips", "dies", "leaves"]
    status, report = run(tmp_path, *(f"client_x/{name}" for name in names))
    assert (status, report.problems) == (1, ())
    (whole,) = report.results
    assert (whole.name, whole.ok) == ("client_x", False)
    found = [(sub.name, sub.ok, sub.directive) for sub in whole.results]
    assert found == [
        ("passes", True, ""),
        ("fails", False, ""),
        ("skips", True, "SKIP"),
        ("dies", False, "ERROR"),
        ("leaves", False, ""),
    ]
    assert whole.results[2].reason == "not here"
    assert any("because" in line for line in whole.results[1].diagnostics)


def test_the_runner_ends_what_takes_too_long(tmp_path: Path) -> None:
    status, report = run(
        tmp_path, "client_x/passes", "client_x/hangs", "client_x/never", timeout="1"
    )
    assert (status, report.problems) == (1, ())
    (whole,) = report.results
    found = [(sub.name, sub.ok, sub.directive) for sub in whole.results]
    assert found == [("passes", True, ""), ("hangs", False, "TIMEOUT")]


def test_the_runner_runs_all_by_default(tmp_path: Path) -> None:
    _, report = run(tmp_path, "client_x", timeout="1")
    assert len(report.results[0].results) == 6


def test_debian_13_is_extracted_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "CLIENTS", ())
    monkeypatch.setattr(packages, "lacking", lambda _: ("bpftool",))
    root = tmp_path / "debian-13"
    monkeypatch.setattr(clients, "DEBIAN_13", root)
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    fake_tool(
        tools, "mmdebstrap", 'for last; do :; done; mkdir "$last"; echo no mirror >&2; exit 1'
    )
    said: list[str] = []
    clients.prepare([], said.append)
    assert not root.exists()
    assert "no mirror" in said[-1]
    fake_tool(tools, "mmdebstrap", 'for last; do :; done; mkdir "$last"')
    clients.prepare([], said.append)
    assert root.is_dir()
    said.clear()
    clients.prepare([], said.append)
    assert said == []
