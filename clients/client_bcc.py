"""BCC, from Debian's python3-bpfcc: LSM_PROBE compiles, attaches, counts and denies."""

import os
from pathlib import Path
from typing import Any

from support import SkipTest, call, denied, need, run

SOURCE = r"""
#include <uapi/asm-generic/errno-base.h>

BPF_ARRAY(calls, u64, 1);

LSM_PROBE(task_getpgid, struct task_struct *p)
{
    char victim[] = "krsi_victim", comm[16] = {};
    int zero = 0, i;

    bpf_get_current_comm(comm, sizeof(comm));
    for (i = 0; i < sizeof(victim); i++)
        if (comm[i] != victim[i])
            return 0;
    calls.increment(zero);
    return -EACCES;
}
"""


def _bcc() -> Any:  # noqa: ANN401 - BCC has no types
    """The module, told where the headers of this kernel are.

    BCC wants the source and what was built from it in one folder: an overlay of the two.
    """
    need("/usr/lib/python3/dist-packages/bcc", "python3-bpfcc")
    build = Path(os.environ["PATH"].split(":")[0]).parent / "kernel"
    headers = Path("/tmp/krsi_headers")
    headers.mkdir(exist_ok=True)
    if not any(headers.iterdir()):
        lower = f"lowerdir={build}:{(build / 'source').resolve()}"
        run("mount", "-t", "overlay", "krsi", "-o", lower, headers)
    os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    import bcc

    return bcc


def test_support_lsm() -> None:
    """BPF.support_lsm() is true: it looks for a symbol of ours."""
    bcc = _bcc()
    print("bcc", bcc.__version__)
    assert bcc.BPF.support_lsm()


def test_lsm_probe() -> None:
    """A program of LSM_PROBE() denies and counts until it is cleaned up."""
    bcc = _bcc()
    if not bcc.BPF.support_lsm():
        raise SkipTest("BCC says that this kernel has no BPF LSM")
    assert not denied(), "denied before"
    policy = bcc.BPF(text=SOURCE)
    assert denied(), "not denied while attached"
    assert denied()
    assert policy["calls"][0].value == 2
    policy.cleanup()
    assert not denied(), "denied after cleanup()"
    assert call() == 0
