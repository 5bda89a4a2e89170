"""A call is followed through a pretended debugger, and what it executed is written down."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import proc
from harness.bench import gdb, trace
from harness.bench.listing import Symbols, Trace, blocks, render
from harness.bench.machine import Kernel
from harness.bench.trace import code_symbols, follow, symbols_of
from harness.errors import BuildError, InfraError
from harness.kernel import elf
from harness.model import BuildPaths

SYMBOLS = Symbols({0x1000: "worker_call", 0x2000: "sys_mprotect", 0x3000: "bpf_prog"})
#: call 0x2000; ret — and a loop of two rounds: nop; dec ecx; jne 0x2001; ret.
CODE = {
    0x1000: bytes.fromhex("e8fb0f0000c3"),
    0x1005: b"\xc3",
    0x2000: b"\x90",
    0x2001: b"\xff\xc9",
    0x2003: b"\x75\xfc",
    0x2005: b"\xc3",
}
ADDRESSES = (0x1000, 0x2000, 0x2001, 0x2003, 0x2001, 0x2003, 0x2005, 0x1005)


def test_names_of_addresses() -> None:
    assert SYMBOLS.name(0x2000) == "sys_mprotect"
    assert SYMBOLS.name(0x2003) == "sys_mprotect+0x3"
    assert SYMBOLS.name(0x10) == "?"


def test_a_listing_counts_by_function_and_by_block() -> None:
    assert render(Trace(ADDRESSES, CODE), SYMBOLS, "krsi: mprotect").splitlines() == [
        "krsi: mprotect: 8 instructions",
        "",
        "executed  function",
        "       2  worker_call",
        "       6  sys_mprotect",
        "",
        "worker_call:",
        "  1 × 2 instructions, worker_call",
        "    0000000000001000  call 0x2000  <sys_mprotect>",
        "    0000000000001005  ret",
        "",
        "sys_mprotect:",
        "  1 × 1 instructions, sys_mprotect",
        "    0000000000002000  nop",
        "  2 × 2 instructions, sys_mprotect+0x1",
        "    0000000000002001  dec ecx",
        "    0000000000002003  jne 0x2001  <sys_mprotect+0x1>",
        "  1 × 1 instructions, sys_mprotect+0x5",
        "    0000000000002005  ret",
    ]


def test_a_gap_splits_a_block() -> None:
    counts = dict.fromkeys((0, 2, 9), 1)
    assert blocks([0, 2, 9], counts, {0: 2, 2: 1, 9: 1}) == [[0, 2], [9]]


def test_an_address_that_nothing_is_known_of() -> None:
    text = render(Trace((0x10,), {0x10: b""}), SYMBOLS, "x")
    assert "    0000000000000010  (unknown)" in text


def test_packets() -> None:
    assert gdb.packet("OK") == b"$OK#9a"
    assert gdb.unpack(b"+$OK#9a$T05#b9") == ("OK", b"$T05#b9")
    assert gdb.unpack(b"+$OK#9") is None
    assert gdb.unpack(b"+") is None


class Machine:
    """A stub on a socket: a CPU that executes ADDRESSES whenever it passes the breakpoint."""

    STACK, BACK = 0x7000, 0x4242

    def __init__(self, path: Path, *, ends_after: int = 99) -> None:
        self.asked: list[str] = []
        self._left = ends_after
        self._path = (*ADDRESSES, self.BACK)
        self._place = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        rest = b""
        with client:
            while self._left:
                received = client.recv(4096)
                if not received:
                    return
                rest += received
                while (found := gdb.unpack(rest)) is not None:
                    text, rest = found
                    self.asked.append(text)
                    self._left -= 1
                    client.sendall(b"+" + gdb.packet(self._answer(text)))

    def _answer(self, text: str) -> str:
        if text == "c":
            self._place = 0
            return "T05thread:01;"
        if text == "s":
            self._place += 1
            return "T05thread:01;"
        if text == "g":
            registers = [0] * 7 + [self.STACK] + [0] * 8 + [self._path[self._place]]
            return b"".join(value.to_bytes(8, "little") for value in registers).hex()
        if text[0] == "m":
            address = int(text[1:].partition(",")[0], 16)
            if address == self.STACK:
                return self.BACK.to_bytes(8, "little").hex()
            return CODE[address].hex() if address in CODE else "E14"
        return "OK"


def test_a_call_is_followed_until_it_returns(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "gdb")
    with gdb.Stub(tmp_path / "gdb") as cpu:
        found = follow(cpu, 0x1000)
    assert found.addresses == ADDRESSES
    assert found.code[0x2001] == CODE[0x2001]
    assert machine.asked[0] == "Z1,1000,1"
    assert machine.asked.count("c") == trace.NUMBER
    # The code of a loop is read once.
    assert sum(text.startswith("m2001,") for text in machine.asked) == 1


def test_a_machine_that_ends_early(tmp_path: Path) -> None:
    Machine(tmp_path / "gdb", ends_after=2)
    with gdb.Stub(tmp_path / "gdb") as cpu, pytest.raises(InfraError, match="debugger"):
        follow(cpu, 0x1000)


def test_a_call_that_does_not_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(tmp_path / "gdb")
    monkeypatch.setattr(trace, "LONGEST", 3)
    with gdb.Stub(tmp_path / "gdb") as cpu, pytest.raises(InfraError, match="does not return"):
        follow(cpu, 0x1000)


class Program(elf.Image):
    """An image with these functions, and no file."""

    def __init__(self, functions: dict[str, int]) -> None:
        super().__init__(Path("/nowhere/init"))
        places = {name: (elf.Function(at, 1),) for name, at in functions.items()}
        self.__dict__["functions"] = places


def test_a_listing_is_made_by_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Child:
        def wait(self, timeout: float) -> int:
            del timeout
            return 0

    @contextmanager
    def spawn(command: list[str], **_: Any) -> Iterator[Child]:
        words = command[command.index("-append") + 1]
        assert words.endswith("-- instructions trace open+close idle")
        address = command[command.index("-gdb") + 1]
        Machine(Path(address.removeprefix("unix:").partition(",")[0]))
        (tmp_path / "open-close-idle.jsonl").write_text(
            f'{{"case": "symbols", "bpf_prog_1_bench#0": {0x2000}}}\n{{"end": 1}}\n'
        )
        yield Child()

    monkeypatch.setattr(proc, "spawn", spawn)
    monkeypatch.setattr(elf, "Image", lambda _: Program({trace.ENTRY: 0x1000}))
    paths = BuildPaths(tmp_path)
    paths.kernel.mkdir()
    (paths.kernel / "System.map").write_text("0000000000003000 T sys_x\n")
    kernel = Kernel("krsi", paths.bzimage, tmp_path / "initrd")
    path = trace.listing(trace.Request(kernel, paths, "open+close", "idle"), tmp_path)
    lines = path.read_text().splitlines()
    assert lines[0] == "krsi: open+close, idle: 8 instructions"
    assert "       6  bpf_prog_1_bench" in lines


def test_names_come_from_kernel_program_and_compiled_programs() -> None:
    compiled = {"bpf_prog_1_bench#0": -(1 << 64) + 0xFFFFFFFFC0001000, "bpf_prog_1_bench#1": -16}
    found = symbols_of({16: "sys_x"}, Program({"main": 4}), compiled).names
    assert found[16] == "sys_x"
    assert found[4] == "main"
    assert found[0xFFFFFFFFC0001000] == found[(1 << 64) - 16] == "bpf_prog_1_bench"


def test_code_is_named_and_data_is_not() -> None:
    text = "0000000000000010 T entry\n0000000000000020 t local\n0000000000000030 D jiffies\n"
    assert code_symbols(text) == {0x10: "entry", 0x20: "local"}


def test_a_program_that_cannot_be_followed() -> None:
    with pytest.raises(BuildError, match="has no function worker_call"):
        trace._entry(Program({"main": 4}))
