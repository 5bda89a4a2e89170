"""A command in a machine: what it prints and its exit status, with a stand-in for vng."""

from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.machine import shell
from test_vm import fake_vng, machine


@pytest.mark.parametrize("status", [0, 7, 255])
def test_the_exit_status_is_that_of_the_command(
    status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"echo said; echo 'it is' wrong >&2; exit {status}"
    assert shell._command(fake_vng(tmp_path), machine(tmp_path), command) == status
    assert capsys.readouterr().out == "said\nit is wrong\n"


def test_a_machine_that_dies_is_no_status(tmp_path: Path) -> None:
    dying = fake_vng(tmp_path, "exit 0")
    (tmp_path / "status").write_text("0\n")
    with pytest.raises(InfraError, match="ended before the command did"):
        shell._command(dying, machine(tmp_path), "true")
