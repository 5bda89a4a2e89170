"""What one call executes, instruction by instruction: disassembled, with counts per block. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from capstone import CS_ARCH_X86, CS_MODE_64, Cs

_UNKNOWN = "?"


@dataclass(frozen=True)
class Symbols:
    """Names of addresses.

    Attributes:
        names: by address, where each begins.
    """

    names: Mapping[int, str]

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(self.names)

    def start(self, address: int) -> int | None:
        """Where the function begins that an address lies in."""
        place = bisect_right(self._starts, address) - 1
        return self._starts[place] if place >= 0 else None

    def name(self, address: int) -> str:
        """A function, and the offset in it if there is one."""
        start = self.start(address)
        if start is None:
            return _UNKNOWN
        offset = address - start
        return f"{self.names[start]}+{offset:#x}" if offset else self.names[start]


@dataclass(frozen=True)
class Trace:
    """What was executed.

    Attributes:
        addresses: of each instruction, in order.
        code: the bytes at each of these addresses, and some that follow.
    """

    addresses: tuple[int, ...]
    code: Mapping[int, bytes]


def render(trace: Trace, symbols: Symbols, title: str) -> str:
    """The whole listing: what each function executes, and each function's instructions."""
    functions = _by_function(trace, symbols)
    counts = Counter(trace.addresses)
    lines = [f"{title}: {len(trace.addresses)} instructions", "", "executed  function"]
    for start, addresses in functions.items():
        total = sum(counts[address] for address in addresses)
        lines.append(f"{total:8}  {symbols.name(start)}")
    for start, addresses in functions.items():
        lines += ["", f"{symbols.name(start)}:"]
        lines += _function(sorted(addresses), counts, trace, symbols)
    return "\n".join(lines) + "\n"


def blocks(
    addresses: Sequence[int], counts: Mapping[int, int], sizes: Mapping[int, int]
) -> list[list[int]]:
    """Ascending addresses, split where one does not follow, or is executed more or less often."""
    found: list[list[int]] = []
    for address in addresses:
        before = found[-1][-1] if found else None
        if (
            before is not None
            and before + sizes[before] == address
            and counts[before] == counts[address]
        ):
            found[-1].append(address)
        else:
            found.append([address])
    return found


def _by_function(trace: Trace, symbols: Symbols) -> dict[int, set[int]]:
    """The addresses of each function, in the order in which functions are entered."""
    found: dict[int, set[int]] = {}
    for address in trace.addresses:
        start = symbols.start(address)
        found.setdefault(address if start is None else start, set()).add(address)
    return found


def _function(
    addresses: Sequence[int], counts: Mapping[int, int], trace: Trace, symbols: Symbols
) -> list[str]:
    """One function's lines: how often each block runs, and its instructions."""
    decoder = Cs(CS_ARCH_X86, CS_MODE_64)
    words: dict[int, tuple[int, str]] = {}
    for address in addresses:
        decoded = next(iter(decoder.disasm_lite(trace.code[address], address, 1)), None)
        if decoded is None:
            words[address] = (1, "(unknown)")
        else:
            _, size, mnemonic, operands = decoded
            words[address] = (size, _text(mnemonic, operands, symbols))
    lines = []
    sizes = {address: size for address, (size, _) in words.items()}
    for block in blocks(addresses, counts, sizes):
        lines.append(f"  {counts[block[0]]} × {len(block)} instructions, {symbols.name(block[0])}")
        lines += [f"    {address:016x}  {words[address][1]}" for address in block]
    return lines


def _text(mnemonic: str, operands: str, symbols: Symbols) -> str:
    """An instruction; where it goes is named."""
    text = f"{mnemonic} {operands}".rstrip()
    if operands.startswith("0x") and (mnemonic == "call" or mnemonic.startswith("j")):
        text += f"  <{symbols.name(int(operands, 16))}>"
    return text
