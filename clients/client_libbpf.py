"""Programs that were compiled against Debian's libbpf and its headers, and link with it."""

from support import SkipTest, artifact, has_chains, run


def _skeleton(command: str) -> None:
    run("ldd", artifact("skeleton"))
    run(artifact("skeleton"), command)


def test_skeleton() -> None:
    """A skeleton of Debian's bpftool: open, load, attach, denied, destroy, allowed."""
    _skeleton("deny")


def test_pin() -> None:
    """A link that is pinned survives the skeleton, and is opened again."""
    _skeleton("pin")


def test_update() -> None:
    """bpf_link__update_program() replaces a program in place."""
    if not has_chains():
        raise SkipTest("links of this kernel's BPF LSM cannot be updated")
    _skeleton("update")


def test_restrict_filesystems() -> None:
    """What systemd does for RestrictFileSystems=: a map of maps, by cgroup and filesystem."""
    run(artifact("restrict"))
