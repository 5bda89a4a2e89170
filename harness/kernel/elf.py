"""What is in a vmlinux: guards before it boots, and addresses as file:line.

Sources: the ELF and DWARF of the file itself by pyelftools, the hooks of the tree by its own
include/linux/lsm_hook_defs.h.
"""

import gzip
import mmap
import os
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from elftools.common.exceptions import ELFError
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.lineprogram import LineProgram
from elftools.elf.elffile import ELFFile

from harness import proc
from harness.errors import BuildError
from harness.kernel import kconfig
from harness.model import Variant

#: The prefix of a hook's function; its BTF id is what an LSM program attaches to.
HOOK = "bpf_lsm_"
_SYMBOL = struct.Struct("<IBBHQQ")
_FUNC = 2
_BTF_HEADER = struct.Struct("<HBBIIIII")
_BTF_MAGIC = 0xEB9F
_CONFIG_START = b"IKCFG_ST"
_CONFIG_END = b"IKCFG_ED"
_HOOK_DEFS = "#define LSM_HOOK(RET, DEFAULT, NAME, ...) krsi_hook NAME\n#include {header}\n"
_SHOWN = 5
#: One row of a line table: first address, the address after it, file number, line.
_Row = tuple[int, int, int, int]


@dataclass(frozen=True)
class Function:
    """One function of the symbol table.

    Attributes:
        address: of its first instruction, as linked (without KASLR).
        size: in bytes.
    """

    address: int
    size: int


@dataclass(frozen=True)
class Location:
    """A place in the sources.

    Attributes:
        file: relative to the kernel's tree where it lies in it.
        line: counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """Print it the way editors take it: file:line."""
        return f"{self.file}:{self.line}"


class Image:
    """A vmlinux; each of its tables is read once, when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables: dict[int, list[_Row]] = {}

    @cached_property
    def functions(self) -> Mapping[str, tuple[Function, ...]]:
        """Every function by name; a static name may stand for several.

        Raises:
            BuildError: the file is no ELF file, or it is stripped.
        """
        symbols, names = self.section(".symtab"), self.section(".strtab")
        found: dict[str, list[Function]] = defaultdict(list)
        for name, info, _other, index, value, size in _SYMBOL.iter_unpack(symbols):
            if info & 0xF == _FUNC and index:
                word = names[name : names.index(b"\0", name)].decode("ascii", "replace")
                found[word].append(Function(value, size))
        return {name: tuple(entries) for name, entries in found.items()}

    def address(self, function: str, offset: int, size: int | None = None) -> int | None:
        """The address of `function`+`offset`, as a stack trace gives it.

        Args:
            function: the symbol.
            offset: from the symbol, in bytes.
            size: of the function, in bytes; tells functions of one name apart.

        Returns:
            None where the function is unknown or ambiguous.
        """
        entries = [
            entry for entry in self.functions.get(function, ()) if size in (None, entry.size)
        ]
        if len(entries) != 1 and size is not None:
            # The kernel counts up to the next symbol, padding included.
            entries = [entry for entry in self.functions.get(function, ()) if offset <= entry.size]
        return entries[0].address + offset if len(entries) == 1 else None

    def section(self, name: str) -> bytes:
        """The contents of one section.

        Raises:
            BuildError: the file is no ELF file or has no such section.
        """
        try:
            with self.path.open("rb") as file:
                found = ELFFile(file).get_section_by_name(name)
                if found is not None:
                    return bytes(found.data())
        except (ELFError, OSError) as error:
            raise BuildError(f"{self.path} is no ELF file: {error}.") from error
        raise BuildError(f"{self.path} has no {name} section.")

    def btf_names(self) -> frozenset[str]:
        """Every name that the BTF knows.

        Raises:
            BuildError: there is no BTF, or it is damaged.
        """
        raw = self.section(".BTF")
        if len(raw) < _BTF_HEADER.size:
            raise BuildError(f"the BTF of {self.path} is cut short.")
        magic, _version, _flags, length, _, _, start, size = _BTF_HEADER.unpack_from(raw)
        if magic != _BTF_MAGIC:
            raise BuildError(f"the BTF of {self.path} does not begin with its magic number.")
        strings = raw[length + start : length + start + size]
        return frozenset(strings.decode("utf-8", "replace").split("\0"))

    def configuration(self) -> dict[str, str]:
        """The configuration that the image carries (CONFIG_IKCONFIG).

        Raises:
            BuildError: it carries none.
        """
        with (
            self.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            start = data.find(_CONFIG_START + b"\x1f\x8b")
            end = data.find(_CONFIG_END, start)
            if start < 0 or end < 0:
                raise BuildError(f"{self.path} carries no configuration (CONFIG_IKCONFIG).")
            packed = data[start + len(_CONFIG_START) : end]
        return kconfig.parse(gzip.decompress(packed).decode(), "the image's configuration")

    def lines(self, addresses: Iterable[int]) -> dict[int, Location]:
        """The place of each address, by the DWARF line tables; unknown ones are left out.

        Raises:
            BuildError: the file is no ELF file or carries no DWARF.
        """
        units: dict[int, list[int]] = defaultdict(list)
        for address in sorted(set(addresses)):
            unit = self._ranges.cu_offset_at_addr(address)
            if unit is not None:
                units[unit].append(address)
        found: dict[int, Location] = {}
        for unit, wanted in units.items():
            found |= self._lines_of(unit, wanted)
        return found

    @cached_property
    def _dwarf(self) -> DWARFInfo:
        try:
            with self.path.open("rb") as file:
                elf = ELFFile(file)
                if not elf.has_dwarf_info(strict=True):
                    raise BuildError(f"{self.path} carries no DWARF.")
                return elf.get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
        except (ELFError, OSError) as error:
            raise BuildError(f"{self.path} is no ELF file: {error}.") from error

    @cached_property
    def _ranges(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - pyelftools names no type
        ranges = self._dwarf.get_aranges()
        if ranges is None:
            raise BuildError(f"{self.path} has no .debug_aranges section.")
        return ranges

    def _lines_of(self, unit: int, addresses: Sequence[int]) -> dict[int, Location]:
        """The places of `addresses`, which all lie in the compilation unit at `unit`."""
        program = self._dwarf.line_program_for_CU(self._dwarf.get_CU_at(unit))
        if program is None:
            return {}
        if unit not in self._tables:
            self._tables[unit] = sorted(_rows(program))
        table = self._tables[unit]
        found: dict[int, Location] = {}
        for address in addresses:
            place = bisect_right(table, address, key=lambda row: row[0]) - 1
            if place >= 0 and address < table[place][1]:
                found[address] = _location(program, *table[place][2:])
        return found


def resolve(vmlinux: Path, addresses: Iterable[int]) -> dict[int, Location]:
    """File and line of each address, as linked; an address that is unknown is left out.

    Raises:
        BuildError: the file is no ELF file or carries no DWARF.
    """
    return Image(vmlinux).lines(addresses)


def hooks(src: Path, out: Path) -> tuple[str, ...]:
    """The LSM hooks of a kernel as configured: lsm_hook_defs.h, by its own preprocessor.

    Args:
        src: the kernel's tree.
        out: its output folder, configured.

    Raises:
        BuildError: the compiler rejects the header, or it defines no hook.
    """
    header = src / "include/linux/lsm_hook_defs.h"
    words = ("gcc", "-E", "-P", "-x", "c", f"-I{src}/include", f"-I{out}/include")
    included = (
        *("-include", f"{out}/include/generated/autoconf.h"),
        *("-include", f"{src}/include/linux/kconfig.h"),
    )
    text = _HOOK_DEFS.format(header=f'"{header}"')
    done = proc.run([*words, *included, "-"], stdin=text, timeout=60, check=BuildError)
    tokens = done.stdout.split()
    names = [tokens[i + 1] for i, token in enumerate(tokens[:-1]) if token == "krsi_hook"]
    if not names:
        raise BuildError(f"{header} defines no hook.")
    return tuple(names)


def guard(image: Image, variant: Variant, src: Path, wanted: kconfig.Config) -> None:
    """Check, before it boots, that the image is what was asked for.

    BTF is there; it and the symbol table have a `bpf_lsm_` function for each hook of the tree,
    or none at all where the variant has no BPF LSM; the image carries the options asked for.

    Raises:
        BuildError: it is not.
    """
    kconfig.require(wanted, image.configuration(), f"the image ({image.path})")
    names = image.btf_names()
    present = {name for name in image.functions if name.startswith(HOOK)}
    if variant.series == "removal":
        if present:
            raise BuildError(f"the removal patches leave {_some(sorted(present))} in {image.path}.")
        return
    expected = [HOOK + hook for hook in hooks(src, image.path.parent)]
    absent = [name for name in expected if name not in present]
    if absent:
        raise BuildError(f"{image.path} has no function {_some(absent)}.")
    untyped = [name for name in expected if name not in names]
    if untyped:
        raise BuildError(f"the BTF of {image.path} has no function {_some(untyped)}.")


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _rows(program: LineProgram) -> Iterator[_Row]:
    """The rows of a line table that cover at least one byte."""
    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address < state.address:
            yield before.address, state.address, before.file, before.line
        before = None if state.end_sequence else state


def _location(program: LineProgram, file: int, line: int) -> Location:
    """Put a file of a line table together from its folder and its name."""
    header = program.header
    old = header["version"] < 5
    entry = header["file_entry"][file - 1 if old else file]
    name = entry.name.decode("utf-8", "replace")
    folder = entry.dir_index - 1 if old else entry.dir_index
    if folder >= 0 and not name.startswith("/"):
        above = header["include_directory"][folder].decode("utf-8", "replace")
        name = str(PurePosixPath(above) / name)
    return Location(os.path.normpath(name), line)
