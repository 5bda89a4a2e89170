"""Without "bpf" in the lsm= list attaching is refused, aloud: nobody believes to be protected."""

from pathlib import Path

from support import (
    PINS,
    SkipTest,
    artifact,
    denied,
    has_chains,
    our_bpftool,
    run,
)

KERNEL_OPTIONS = "lsm=landlock,yama"

_REASON = '"bpf" is not in the list of enabled LSMs'


def _needs_chains() -> None:
    assert "bpf" not in Path("/sys/kernel/security/lsm").read_text().split(",")
    if not has_chains():
        raise SkipTest("this kernel attaches programs that never run")


def test_refused() -> None:
    """A client of Debian's libbpf is refused; the kernel's log has the reason, once."""
    _needs_chains()
    for _ in range(2):
        failed = run(artifact("skeleton"), "deny", check=False)
        assert failed.returncode != 0, "attached"
        assert "Operation not supported" in failed.stderr
    assert run("dmesg").stdout.count(_REASON) == 1


def test_libbpf_says_why() -> None:
    """Our libbpf's message names the reason, and where to look."""
    _needs_chains()
    policy = artifact("policy.bpf.o")
    failed = run(our_bpftool(), "prog", "loadall", policy, PINS, "autoattach", check=False)
    assert failed.returncode != 0, "attached"
    assert "'bpf' is likely not among the active LSMs" in failed.stderr
    assert "/sys/kernel/security/lsm" in failed.stderr
    assert not denied(), "denied by a program that was refused"
