"""An initramfs: a cpio archive in the "newc" format, made in memory. Pure."""

from collections.abc import Mapping, Sequence

_PROGRAM, _FOLDER = 0o100755, 0o040755


def archive(programs: Mapping[str, bytes], folders: Sequence[str] = ()) -> bytes:
    """An archive of folders, and of programs by their names."""
    members = [
        *(_member(name, _FOLDER, b"") for name in folders),
        *(_member(name, _PROGRAM, content) for name, content in programs.items()),
        _member("TRAILER!!!", 0, b""),
    ]
    return b"".join(members)


def _member(name: str, mode: int, content: bytes) -> bytes:
    """One member, header and contents padded to words."""
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
    return _padded(header) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
