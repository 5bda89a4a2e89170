"""QEMU's debugger stub: enough of GDB's remote protocol to follow one CPU, step by step."""

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import InfraError

#: Seconds for one answer; the machine may boot meanwhile.
TIMEOUT = 300.0
_RETRY = 0.05
#: The places of registers among all of x86-64's, of so many bytes each.
RSP, RIP = 7, 16
_WIDTH = 8


def packet(text: str) -> bytes:
    """A packet of the protocol. Pure."""
    return f"${text}#{sum(text.encode()) & 0xFF:02x}".encode()


def unpack(data: bytes) -> tuple[str, bytes] | None:
    """The first packet in what was received, and what follows it; None if it is not whole. Pure."""
    start = data.find(b"$")
    end = data.find(b"#", start)
    if start < 0 or end < 0 or len(data) < end + 3:
        return None
    return data[start + 1 : end].decode("ascii", "replace"), data[end + 3 :]


class Stub:
    """A connection to the stub; the CPU stands still but for `resume` and `step`."""

    def __init__(self, path: Path) -> None:
        """Nothing is connected before the context is entered."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = b""

    def __enter__(self) -> Self:
        """Connect. Raises InfraError when nobody listens for too long."""
        stop = time.monotonic() + TIMEOUT
        self._socket.settimeout(TIMEOUT)
        while True:
            try:
                self._socket.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > stop:
                    raise InfraError(f"QEMU does not listen on {self._path}.") from error
                time.sleep(_RETRY)
            else:
                return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self._socket.close()

    def stop_at(self, address: int) -> None:
        """Set a breakpoint."""
        self._expect(f"Z1,{address:x},1", "OK")

    def pass_by(self, address: int) -> None:
        """Remove a breakpoint."""
        self._expect(f"z1,{address:x},1", "OK")

    def resume(self) -> None:
        """Go on to the next breakpoint. Raises InfraError when the machine ends before."""
        self._expect("c", "T")

    def step(self) -> None:
        """Execute one instruction; no interrupt comes between."""
        self._expect("s", "T")

    def detach(self) -> None:
        """Let the machine go on by itself."""
        self._expect("D", "OK")

    def register(self, number: int) -> int:
        """A register's value. All are asked for: QEMU tells a single one only to who reads XML."""
        values = bytes.fromhex(self._ask("g"))
        return int.from_bytes(values[number * _WIDTH : (number + 1) * _WIDTH], "little")

    def memory(self, address: int, length: int) -> bytes:
        """What lies in memory as the CPU sees it now; nothing where it sees none."""
        answer = self._ask(f"m{address:x},{length:x}")
        return b"" if answer.startswith("E") else bytes.fromhex(answer)

    def _expect(self, text: str, wanted: str) -> None:
        answer = self._ask(text)
        if not answer.startswith(wanted):
            raise InfraError(f"QEMU's debugger answers {answer!r} to {text!r}.")

    def _ask(self, text: str) -> str:
        try:
            self._socket.sendall(packet(text))
            while (found := unpack(self._rest)) is None:
                received = self._socket.recv(65536)
                if not received:
                    raise InfraError(f"the machine ended while {text!r} was asked of its debugger.")
                self._rest += received
            self._socket.sendall(b"+")
        except OSError as error:
            raise InfraError(f"QEMU's debugger does not answer {text!r}: {error}.") from error
        answer, self._rest = found
        return answer
