"""Debian's bpftool, which is older than ours and unmodified, manages a policy from load to end."""

from support import (
    PINS,
    SkipTest,
    attached,
    debians_bpftool,
    denied,
    eventually,
    has_chains,
    loaded,
    query,
    run,
    variable,
)


def test_probe() -> None:
    """`bpftool feature` says that there are LSM programs."""
    tool = debians_bpftool()
    run(tool, "version")
    said = run(tool, "feature", "probe", "kernel").stdout
    assert "eBPF program_type lsm is available" in said


def test_loadall() -> None:
    """Programs that are loaded and pinned are shown, and do not run before they are attached."""
    tool = debians_bpftool()
    with loaded(tool):
        assert sorted(pin.name for pin in PINS.iterdir()) == ["count", "deny"]
        prog = query(tool, "prog", "show", "pinned", str(PINS / "deny"))
        assert (prog["type"], prog["name"]) == ("lsm", "deny")
        assert not denied(), "denied by a program that is not attached"


def test_autoattach() -> None:
    """`loadall … autoattach` puts a policy in force until its pins are gone."""
    tool = debians_bpftool()
    if "autoattach" not in run(tool, "prog", "help").stderr:
        raise SkipTest("Debian's bpftool is too old for autoattach")
    with loaded(tool, "autoattach"):
        assert denied(), "not denied while pinned"


def test_attached() -> None:
    """A pinned link keeps its program attached; its maps can be read; unlinking it detaches."""
    with attached() as tool:
        assert denied(), "not denied while pinned"
        assert variable(tool, "policy.bss", "denials") == 1
        assert variable(tool, "policy.bss", "calls") == 0
        (PINS / "link").unlink()
        assert eventually(lambda: not denied()), "denied after the link's pin is gone"
        assert sorted(pin.name for pin in PINS.iterdir()) == ["count", "deny"]


def test_show() -> None:
    """Links and programs are shown as what they are."""
    with attached() as tool:
        link = query(tool, "link", "show", "pinned", str(PINS / "link"))
        assert link["type"] == "tracing"
        assert link["prog_type"] == "lsm"
        assert link["attach_type"] == "lsm_mac"
        prog = query(tool, "prog", "show", "id", str(link["prog_id"]))
        assert (prog["type"], prog["name"]) == ("lsm", "deny")
        assert link["id"] in [other["id"] for other in query(tool, "link", "show")]
        assert "attach_type lsm_mac" in run(tool, "link", "show").stdout


def test_detach() -> None:
    """`bpftool link detach` ends an attachment that others still hold."""
    with attached() as tool:
        if not has_chains():
            raise SkipTest("links of this kernel's BPF LSM cannot be detached by force")
        run(tool, "link", "detach", "pinned", PINS / "link")
        assert not denied(), "denied after detach"
