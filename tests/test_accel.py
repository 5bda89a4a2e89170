"""The probe for KVM: its verdict, its deadline, its memory."""

import json
from pathlib import Path

import pytest

from harness import proc
from harness.errors import InfraError
from harness.machine import accel
from harness.machine.accel import Answer


def result(stdout: str = "", returncode: int = 0, *, timed_out: bool = False) -> proc.Result:
    return proc.Result((), returncode, stdout, "", 1.0, timed_out)


@pytest.mark.parametrize(
    ("outcome", "name", "why"),
    [
        (result("Linux version\nKernel panic - not syncing: VFS: Unable"), "kvm", "boots"),
        (result("Booting from ROM..", timed_out=True), "tcg", "did not come up on it within 5 s"),
        (result("", -6), "tcg", "died of SIGABRT"),
        (result("", 1), "tcg", "status 1"),
        (result("Linux version", 0), "tcg", "status 0"),
    ],
)
def test_judge(outcome: proc.Result, name: str, why: str) -> None:
    answer = accel.judge(outcome)
    assert answer.accel == name
    assert why in answer.why


@pytest.fixture
def fake_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /dev/kvm that opens, and a PATH with room for a QEMU."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accel, "_KVM", device)
    monkeypatch.setattr(accel, "PROBE_SECONDS", 0.5)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def qemu(folder: Path, body: str) -> None:
    path = folder / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{body}\n")
    path.chmod(0o755)


def test_a_hang_is_found_out(fake_kvm: Path) -> None:
    qemu(fake_kvm, "echo 'Booting from ROM..'; sleep 60")
    assert accel.choose("auto", Path("bz"), fake_kvm / "cache").accel == "tcg"


def test_the_answer_is_remembered_until_qemu_changes(fake_kvm: Path) -> None:
    cache = fake_kvm / "build/accel.json"
    qemu(fake_kvm, "echo 'Kernel panic - not syncing: VFS'")
    assert accel.choose("auto", Path("bz"), cache).accel == "kvm"
    assert accel.choose("auto", Path("bz"), cache).accel == "kvm"
    assert (fake_kvm / "runs").read_text() == "run\n"
    qemu(fake_kvm, "exit 1  # a new one")
    assert accel.choose("auto", Path("bz"), cache).accel == "tcg"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"key": 1, "accel": "xen", "why": ""}'])
def test_a_damaged_memory_is_ignored(text: str, fake_kvm: Path) -> None:
    cache = fake_kvm / "cache"
    cache.write_text(text)
    qemu(fake_kvm, "exit 1")
    assert accel.choose("auto", Path("bz"), cache).accel == "tcg"
    assert json.loads(cache.read_text())["accel"] == "tcg"


def test_no_device(fake_kvm: Path) -> None:
    qemu(fake_kvm, "exit 1")
    (fake_kvm / "kvm").unlink()
    answer = accel.choose("auto", Path("bz"), fake_kvm / "cache")
    assert "No such file" in answer.why
    assert not (fake_kvm / "runs").exists()


def test_no_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match="apt-get install"):
        accel.probe(Path("bz"))


def test_what_the_user_says_is_taken() -> None:
    assert accel.choose("kvm", Path("bz")) == Answer("kvm", "as asked")
    assert accel.choose("tcg", Path("bz")) == Answer("tcg", "as asked")
