"""Our own bpftool tells what is attached, by the names of hooks and in run order."""

from support import PINS, SkipTest, eventually, has_chains, loaded, our_bpftool, query, run

HOOK = "task_getpgid"


def _link_id(name: str) -> int:
    """The id of the link that is pinned as `name`."""
    return int(query(our_bpftool(), "link", "show", "pinned", str(PINS / name))["id"])


def _needs_query() -> None:
    """The rest of a test is for a kernel that can be asked; another one is refused with reason."""
    if has_chains():
        return
    failed = run(our_bpftool(), "lsm", "show", check=False)
    assert failed.returncode != 0
    assert "kernel too old?" in failed.stderr
    raise SkipTest("this kernel cannot be asked what is attached to a hook")


def test_link_show() -> None:
    """`bpftool link show` names the hook."""
    tool = our_bpftool()
    with loaded(tool, "autoattach"):
        for name in ("count", "deny"):
            assert query(tool, "link", "show", "pinned", str(PINS / name))["hook"] == HOOK
        plain = run(tool, "link", "show", "pinned", PINS / "deny").stdout
        assert f"attach_type lsm_mac  hook {HOOK}" in plain
        deny = _link_id("deny")
        (listed,) = [link for link in query(tool, "link", "show") if link["id"] == deny]
        assert listed["hook"] == HOOK


def test_prog_show() -> None:
    """`bpftool prog show` names the hook, of programs that are for one."""
    tool = our_bpftool()
    with loaded(tool, "autoattach"):
        progs = {prog.get("name"): prog for prog in query(tool, "prog", "show")}
        assert progs["deny"]["hook"] == HOOK
        assert f"hook {HOOK}\n" in run(tool, "prog", "show", "name", "deny").stdout
        assert all(prog["type"] == "lsm" for prog in progs.values() if "hook" in prog)


def test_lsm_show() -> None:
    """`bpftool lsm show` lists what a hook runs, in the order in which it does."""
    _needs_query()
    tool = our_bpftool()
    assert query(tool, "lsm", "show") == []
    assert run(tool, "lsm", "show").stdout == ""
    with loaded(tool, "autoattach"):
        (hook,) = query(tool, "lsm", "show")
        assert hook["hook"] == HOOK
        assert hook["revision"] > 2
        # The order in which the object file is attached.
        names = [prog["name"] for prog in hook["progs"]]
        assert names == ["count", "deny"]
        assert [prog["link_id"] for prog in hook["progs"]] == [_link_id(name) for name in names]
        assert query(tool, "lsm", "show", HOOK) == [hook]
        assert query(tool, "-f", "lsm", "show")[0]["progs"][1]["pinned"] == [str(PINS / "deny")]

        plain = run(tool, "lsm", "list").stdout.splitlines()
        assert plain[0] == HOOK
        assert [line.split("name ")[1].split()[0] for line in plain[1:]] == names
        assert f"link {hook['progs'][1]['link_id']}" in plain[2]

        (PINS / "count").unlink()
        assert eventually(lambda: len(query(tool, "lsm", "show")[0]["progs"]) == 1)
        assert query(tool, "lsm", "show")[0]["progs"][0]["name"] == "deny"
    assert query(tool, "lsm", "show") == []


def test_lsm_show_all() -> None:
    """`bpftool lsm show all` lists every hook, and a name only that one."""
    _needs_query()
    tool = our_bpftool()
    hooks = query(tool, "lsm", "show", "all")
    names = [hook["hook"] for hook in hooks]
    assert len(names) > 200
    assert names == sorted(set(names))
    assert {"file_open", "file_mprotect", "bpf", HOOK} <= set(names)
    # Functions that are called like a hook's and are none.
    assert not {"link_attach", "prog_query", "verify_prog"} & set(names)
    assert not any(hook["progs"] for hook in hooks)
    assert run(tool, "lsm", "show", "all").stdout.split() == names
    assert [hook["hook"] for hook in query(tool, "lsm", "show", "file_open")] == ["file_open"]


def test_lsm_show_refuses() -> None:
    """What is no hook is refused, and so is who may not look."""
    _needs_query()
    tool = our_bpftool()
    failed = run(tool, "lsm", "show", "file_opne", check=False)
    assert failed.returncode != 0
    assert "no LSM hook 'file_opne'" in failed.stderr
    failed = run("setpriv", "--reuid=65534", "--clear-groups", tool, "lsm", "show", check=False)
    assert failed.returncode != 0
    assert "Operation not permitted" in failed.stderr
