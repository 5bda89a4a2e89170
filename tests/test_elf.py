"""The guards and the line tables, on small ELF files that the machine's compiler makes."""

import gzip
import shutil
import struct
from pathlib import Path

import pytest

from fakes import write_tree
from harness import proc
from harness.errors import BuildError
from harness.kernel import elf
from harness.model import VARIANTS

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

SOURCE = """\
static int twice(int n)
{
    return n * 2;
}

int bpf_lsm_file_open(int n)
{
    n += 1;
    return twice(n);
}
"""
HOOK_DEFS = """\
LSM_HOOK(int, 0, file_open, struct file *file)
#ifdef CONFIG_SECURITY_NETWORK
LSM_HOOK(int, 0, socket_bind, int a,
         int b)
#endif
"""
UPSTREAM, NONE = VARIANTS["upstream"], VARIANTS["none"]


def btf(*names: str) -> bytes:
    """A BTF section that knows some names."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, len(strings)) + strings


def config(text: str) -> bytes:
    """What CONFIG_IKCONFIG leaves in an image."""
    return b"IKCFG_ST" + gzip.compress(text.encode()) + b"IKCFG_ED"


def make_image(
    folder: Path,
    *,
    source: str = SOURCE,
    names: tuple[str, ...] = ("bpf_lsm_file_open",),
    options: str = "CONFIG_A=y\n",
    flags: tuple[str, ...] = ("-g",),
) -> elf.Image:
    """Build an image as the guards read it; no BTF when `names` is empty."""
    write_tree(folder, {"fs/open.c": source})
    (folder / "btf").write_bytes(btf(*names))
    (folder / "config").write_bytes(config(options))
    # No return to a caller: nothing runs it.
    words = ("-O0", "-nostdlib", "-no-pie", "-Wl,-e,0", *flags, f"-ffile-prefix-map={folder}/=")
    vmlinux = folder / "vmlinux"
    proc.run(["gcc", *words, "-o", vmlinux, folder / "fs/open.c"], cwd=folder)
    sections = ["--add-section", f".ikconfig={folder / 'config'}"]
    if names:
        sections += ["--add-section", f".BTF={folder / 'btf'}"]
    proc.run(["objcopy", *sections, vmlinux])
    return elf.Image(vmlinux)


def make_src(folder: Path, *, network: bool = False) -> Path:
    """A tree with hooks, and the generated header of an output folder beside the image."""
    autoconf = "#define CONFIG_SECURITY_NETWORK 1\n" if network else ""
    write_tree(folder, {"include/generated/autoconf.h": autoconf})
    return write_tree(
        folder / "src",
        {"include/linux/lsm_hook_defs.h": HOOK_DEFS, "include/linux/kconfig.h": ""},
    )


def test_hooks_follow_the_configuration(tmp_path: Path) -> None:
    assert elf.hooks(make_src(tmp_path), tmp_path) == ("file_open",)
    assert elf.hooks(make_src(tmp_path, network=True), tmp_path) == ("file_open", "socket_bind")


def test_a_header_without_hooks(tmp_path: Path) -> None:
    src = make_src(tmp_path)
    (src / "include/linux/lsm_hook_defs.h").write_text("", encoding="utf-8")
    with pytest.raises(BuildError, match="defines no hook"):
        elf.hooks(src, tmp_path)


def test_a_sound_image(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    elf.guard(image, UPSTREAM, make_src(tmp_path), {"CONFIG_A": "y", "CONFIG_B": "n"})


def test_a_hook_without_a_function(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    with pytest.raises(BuildError, match="has no function bpf_lsm_socket_bind"):
        elf.guard(image, UPSTREAM, make_src(tmp_path, network=True), {})


def test_a_hook_without_a_type(tmp_path: Path) -> None:
    image = make_image(tmp_path, names=("something",))
    with pytest.raises(BuildError, match=r"BTF of .* has no function bpf_lsm_file_open"):
        elf.guard(image, UPSTREAM, make_src(tmp_path), {})


def test_no_btf(tmp_path: Path) -> None:
    image = make_image(tmp_path, names=())
    with pytest.raises(BuildError, match=r"has no \.BTF section"):
        elf.guard(image, UPSTREAM, make_src(tmp_path), {})


def test_an_option_that_is_not_in_the_image(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    with pytest.raises(BuildError, match=r"CONFIG_B=y \(is not set\)"):
        elf.guard(image, UPSTREAM, make_src(tmp_path), {"CONFIG_B": "y"})


def test_the_floor_has_no_hook_functions(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    with pytest.raises(BuildError, match="removal patches leave bpf_lsm_file_open"):
        elf.guard(image, NONE, make_src(tmp_path), {})
    (tmp_path / "none").mkdir()
    bare = make_image(tmp_path / "none", source=SOURCE.replace("bpf_lsm_", ""))
    elf.guard(bare, NONE, make_src(tmp_path), {})


def test_no_configuration_in_the_image(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    proc.run(["objcopy", "--remove-section=.ikconfig", image.path])
    with pytest.raises(BuildError, match="carries no configuration"):
        image.configuration()


def test_no_elf_file(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(BuildError, match="is no ELF file"):
        elf.Image(path).section(".BTF")
    with pytest.raises(BuildError, match="is no ELF file"):
        elf.resolve(path, [1])


@pytest.mark.parametrize("flags", [("-gdwarf-4",), ("-gdwarf-5",)])
def test_addresses_become_lines(tmp_path: Path, flags: tuple[str, ...]) -> None:
    image = make_image(tmp_path, flags=flags)
    wanted = {}
    for name, line in (("twice", 2), ("bpf_lsm_file_open", 7)):
        address = image.address(name, 0)
        assert address is not None
        wanted[address] = f"fs/open.c:{line}"
    found = elf.resolve(image.path, [*wanted, 0x10])
    assert {address: str(place) for address, place in found.items()} == wanted


def test_every_line_agrees_with_addr2line(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    (entry,) = image.functions["bpf_lsm_file_open"]
    addresses = list(range(entry.address, entry.address + entry.size))
    words = ["addr2line", "-e", str(image.path), *map(hex, addresses)]
    printed = proc.run(words).stdout.replace(f"{tmp_path}/", "")
    theirs = [line.split(" ")[0] for line in printed.splitlines()]
    ours = image.lines(addresses)
    assert [str(ours[address]) for address in addresses] == theirs


def test_an_address_needs_an_unambiguous_function(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    (entry,) = image.functions["twice"]
    assert image.address("twice", 4, entry.size) == entry.address + 4
    assert image.address("twice", 4, entry.size + 2) == entry.address + 4
    assert image.address("thrice", 0) is None
    image.functions = {"twice": (entry, elf.Function(0x99, entry.size))}
    assert image.address("twice", 0, entry.size) is None


def test_no_dwarf(tmp_path: Path) -> None:
    image = make_image(tmp_path, flags=())
    with pytest.raises(BuildError, match="carries no DWARF"):
        image.lines([1])
