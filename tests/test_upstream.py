"""The rule by which the kernel's own tests are chosen."""

from pathlib import Path

import pytest

from fakes import write_tree
from harness.errors import KrsiError, UsageError
from harness.run import upstream, upstream_client

LSM = 'SEC("lsm/bpf")\nint BPF_PROG(x) { return 0; }\n'
TWO = (
    '#include "a.skel.h"\n#include "b.skel.h"\n'
    "void test_one(void) {{ {0}; }}\nvoid test_two(void) {{ {1}; }}\n"
)
SOURCES = {
    "plain.c": 'SEC("lsm.s/bpf") int f(void);',
    "lazy.c": 'SEC("?lsm_cgroup/bind") int f(void);',
    "other.c": 'SEC("fentry/lsm_x") int f(void); /* lsm */',
    "common.h": 'SEC("lsm/open") int f(void);',
    "middle.h": '#include "common.h"\n',
    "includes.c": '#include <x.h>\n#include "middle.h"\n',
}


def test_programs_are_found_by_section_and_through_headers() -> None:
    assert upstream.lsm_programs(SOURCES) == {"plain", "lazy", "includes"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('#include "a.skel.h"\nvoid test_one(void)\n{\n}\n', ("one",)),
        ("#include <a.lskel.h>\nvoid serial_test_one()\n{\n}\n", ("one",)),
        ('#include "b.skel.h"\nvoid test_one(void)\n{\n}\n', ()),
        ('#include "a.skel.h"\nstatic void test_one(void)\n{\n}\n', ()),
        ("void test_one(void)\n{\n\tlibbpf_probe_bpf_prog_type(1, NULL);\n}\n", ("one",)),
        (
            TWO.format("RUN(b)", "RUN(a)"),
            ("two",),
        ),
        (
            "static void run(void) { a__open(); }\n" + TWO.format("run()", "run()"),
            ("one", "two"),
        ),
    ],
)
def test_tests_are_found_by_what_they_embed(text: str, names: tuple[str, ...]) -> None:
    assert upstream.chosen(text, frozenset({"a"})) == names


def kernel(folder: Path, files: dict[str, str]) -> Path:
    names = {f"{upstream.FOLDER}/{name}": text for name, text in files.items()}
    return write_tree(folder, names)


def test_a_suite_has_what_its_tests_lean_on(tmp_path: Path) -> None:
    tree = kernel(
        tmp_path,
        {
            "progs/a.c": LSM,
            "prog_tests/x.c": '#include "a.skel.h"\nint helper(void);\nvoid test_x(void)\n{\n'
            '\tsystem("./setup.sh go");\n\topen("./a.bpf.o");\n}\n',
            "prog_tests/lender.c": "noinline int helper(void)\n{\n}\nvoid test_lender(void) {}\n",
            "prog_tests/y.c": "void test_y(void) {}\n",
        },
    )
    suite = upstream.discover(tree)
    assert suite.files == ("lender", "x")
    assert suite.extras == ("setup.sh",)
    (test,) = suite.tests
    assert (test.name, test.subtests, test.closed) == ("x", (), False)
    assert test.source == tree / upstream.FOLDER / "prog_tests/x.c"


def test_an_empty_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test with an LSM program"):
        upstream.discover(kernel(tmp_path, {"prog_tests/y.c": "void test_y(void) {}\n"}))


def test_a_kernel_from_another_machine_brings_its_module(tmp_path: Path) -> None:
    module = tmp_path / "krsi/bin/bpf_testmod.ko"
    with pytest.raises(KrsiError):
        upstream_client.add_module("krsi", tmp_path)
    module.parent.mkdir(parents=True)
    module.write_bytes(b"a module")
    upstream_client.add_module("krsi", tmp_path)
    assert module.read_bytes() == b"a module"
    # Where there are sources it is made from them.
    (tmp_path / "tree").mkdir()
    with pytest.raises(KrsiError):
        upstream_client.add_module("krsi", tmp_path)
