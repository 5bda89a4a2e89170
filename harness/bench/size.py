"""How large a kernel is: the sections of vmlinux that are loaded."""

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from harness.errors import BuildError


def of(vmlinux: Path) -> dict[str, int]:
    """Text, read-only data and data of a kernel, in bytes.

    Raises:
        BuildError: the file is no ELF file.
    """
    sizes = {"text": 0, "read-only data": 0, "data": 0, "bss": 0}
    try:
        with vmlinux.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                kind = _kind(int(section["sh_flags"]), str(section["sh_type"]))
                if kind:
                    sizes[kind] += int(section["sh_size"])
    except (ELFError, OSError) as error:
        raise BuildError(f"{vmlinux} is no ELF file: {error}.") from error
    return sizes


def _kind(flags: int, kind: str) -> str:
    """What a section counts as; empty if it is not loaded."""
    if not flags & SH_FLAGS.SHF_ALLOC:
        return ""
    if flags & SH_FLAGS.SHF_EXECINSTR:
        return "text"
    if not flags & SH_FLAGS.SHF_WRITE:
        return "read-only data"
    return "bss" if kind == "SHT_NOBITS" else "data"
