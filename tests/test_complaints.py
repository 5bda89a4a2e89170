"""What counts as a complaint, and which are new."""

from harness.kernel import complaints
from harness.kernel.complaints import Complaint

LOG = """\
  CC      security/bpf/chain.o
In file included from ../../tree/security/bpf/chain.c:12:
../../tree/include/linux/bpf.h:12:34: warning: two things [-Wboth]
/src/tree/security/bpf/chain.c:7: warning: Function parameter 'x' not described in 'y'
./include/generated/z.h:1:1: warning: generated
../../tree/kernel/bpf/verifier.c:9:1: error: symbol 'x' redeclared (see at f.h:3:4)
kernel/bpf/core.o: warning: objtool: ___bpf_prog_run+0x1a3: sibling call
vmlinux.o: warning: objtool: bpf_lsm_x: missing endbr
ld: warning: x has a LOAD segment with RWX permissions
aarch64-linux-gnu-ld: warning: orphan section `.x'
WARN: resolve_btfids: unresolved symbol bpf_lsm_x
WARNING: modpost: vmlinux: section mismatch in reference: a
make[2]: warning: Clock skew detected.
"""


def test_what_a_log_complains_of() -> None:
    found = complaints.scan(LOG, ("/src/tree", "../../tree", "."))
    assert [(each.path, each.text) for each in found] == [
        ("include/linux/bpf.h", "two things [-Wboth]"),
        ("security/bpf/chain.c", "Function parameter 'x' not described in 'y'"),
        ("include/generated/z.h", "generated"),
        ("kernel/bpf/verifier.c", "symbol 'x' redeclared (see at f.h)"),
        ("kernel/bpf/core.o", "objtool: ___bpf_prog_run: sibling call"),
        ("vmlinux.o", "objtool: bpf_lsm_x: missing endbr"),
        ("", "x has a LOAD segment with RWX permissions"),
        ("", "orphan section `.x'"),
        ("", "resolve_btfids: unresolved symbol bpf_lsm_x"),
        ("", "modpost: vmlinux: section mismatch in reference: a"),
    ]
    assert [each.linked for each in found] == [False] * 4 + [True] * 6


def test_what_a_log_compiled() -> None:
    assert complaints.compiled(
        "  CC      a/b.o\n  AS      c.o\n  CC [M]  d.o\n  HOSTCC  e.o\n"
    ) == (
        "a/b.o",
        "d.o",
    )


def test_what_only_the_series_adds() -> None:
    old = Complaint("a.c", "unused 'x'", "a.c:3: unused 'x'")
    moved = Complaint("a.c", "unused 'x'", "a.c:9: unused 'x'")
    new = Complaint("a.c", "unused 'y'", "a.c:5: unused 'y'")
    assert complaints.added([moved, new], [old]) == (new,)
    assert complaints.added([moved, moved], [old]) == (moved,)
    assert complaints.added([moved], []) == (moved,)
