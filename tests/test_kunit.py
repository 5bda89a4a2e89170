"""The kernel's KUnit tool: what it is told, and what its answer is worth."""

import json
from pathlib import Path

import pytest

from harness.checks import kunit
from harness.errors import InfraError
from harness.model import Status
from harness.run.selftests import Item
from harness.verdicts import splat

POLICY = splat.load_policy(Path(__file__).parent.parent / "policy")
ORDER, HOOK = Item("bpf_lsm_chain", "runs_in_order"), Item("bpf_lsm_hook", "detaches_once")


def printed(order: str = "PASS", hook: str = "PASS") -> str:
    groups = (("bpf_lsm_chain", "runs_in_order", order), ("bpf_lsm_hook", "detaches_once", hook))
    return json.dumps(
        {
            "name": "KUnit Test Group",
            "test_cases": [],
            "sub_groups": [
                {"name": suite, "sub_groups": [], "test_cases": [{"name": case, "status": status}]}
                for suite, case, status in groups
            ],
        }
    )


def test_every_case_has_its_verdict() -> None:
    outcome = kunit.read(printed(hook="SKIP"), "", POLICY)
    assert {item: verdict.status for item, verdict in outcome.verdicts.items()} == {
        ORDER: Status.PASS,
        HOOK: Status.SKIP,
    }
    assert outcome.good
    assert outcome.counts() == {"passed": 1, "failed": 0, "skipped": 1}


@pytest.mark.parametrize(
    ("said", "status"),
    [("FAIL", Status.FAIL), ("ERROR", Status.CRASH), ("who knows", Status.FAIL)],
)
def test_what_did_not_pass_fails(said: str, status: Status) -> None:
    outcome = kunit.read(printed(order=said), "", POLICY)
    assert outcome.verdicts[ORDER].status is status
    assert not outcome.good
    assert outcome.counts()["failed"] == 1


def test_a_splat_is_a_failure_though_every_test_passed() -> None:
    log = "ok 1 bpf_lsm_chain\nBUG: KASAN: slab-use-after-free in chain_free+0x1/0x2\n"
    outcome = kunit.read(printed(), log, POLICY)
    assert not outcome.good
    assert outcome.counts() == {"passed": 2, "failed": 1, "skipped": 0}


def test_no_test_at_all_is_a_failure() -> None:
    outcome = kunit.read('{"name": "", "test_cases": [], "sub_groups": []}', "", POLICY)
    assert not outcome.good
    assert outcome.counts()["failed"] == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"test_cases": 1, "sub_groups": []}'])
def test_an_answer_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(InfraError, match="no result that can be read"):
        kunit.read(text, "", POLICY)


def test_the_fragment_is_handed_to_the_tool() -> None:
    assert kunit.options("CONFIG_SMP=y\n# CONFIG_PCI is not set\n") == [
        "--kconfig_add=CONFIG_SMP=y",
        "--kconfig_add=CONFIG_PCI=n",
    ]


def test_it_is_built_with_the_tests_and_booted_with_one_emulating_thread(tmp_path: Path) -> None:
    made = kunit.command(tmp_path / "tree", tmp_path / "out", "build")
    assert "--kunitconfig=security/bpf" in made
    assert "--kconfig_add=CONFIG_KASAN=y" in made
    booted = kunit.command(tmp_path / "tree", tmp_path / "out", "exec")
    assert "--qemu_args=-accel tcg,thread=single" in booted
    assert not [word for word in booted if word.startswith("--kconfig_add")]
