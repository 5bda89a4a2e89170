"""The workflow for GitHub Actions: it loads, its actions are pinned, its commands are ours."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from harness.model import ROOT
from krsi_ci import builders

WORKFLOW = ROOT / ".github/workflows/krsi.yml"
COMMANDS = (
    r"make check",
    r"make kernel",
    r"\./run_tests\.py lsm_attach",
    r"\./run_tests\.py --shard \$\{\{ matrix\.shard \}\}/\d+",
    r"python3 -m harness report merge( build/shards/\d+)+ --output build/reports/merged",
    # Around them: what the front doors need, and what goes from job to job.
    r"apt-get update -q && apt-get install -y -q --no-install-recommends [a-z0-9 -]+",
    r"tar -[cx]zf build/[\w./-]+( (-C )?[\w./-]+)*( \|\| true)?",
    r"mkdir -p( build/shards/\d+)+",
)


@pytest.fixture(scope="module")
def jobs() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return found


def lines(jobs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, job in jobs.items():
        for step in job["steps"]:
            yield from ((name, line.strip()) for line in step.get("run", "").splitlines())


def steps(jobs: Mapping[str, Any], name: str, uses: str) -> list[Mapping[str, Any]]:
    found = [step for step in jobs[name]["steps"] if f"actions/{uses}@" in step.get("uses", "")]
    return [step["with"] for step in found]


def test_only_agreed_commands(jobs: Mapping[str, Any]) -> None:
    said = [line for _, line in lines(jobs)]
    for line in said:
        assert any(re.fullmatch(each, line) for each in COMMANDS), line
    for each in COMMANDS[:5]:
        assert any(re.fullmatch(each, line) for line in said), f"nothing calls {each}"


def test_actions_are_pinned_to_commits(jobs: Mapping[str, Any]) -> None:
    used = re.findall(r"uses: (\S+)(.*)", WORKFLOW.read_text(encoding="utf-8"))
    assert len(used) == sum("uses" in step for job in jobs.values() for step in job["steps"])
    for action, comment in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action} does not say its version"


def test_shards_are_all_of_them_and_all_are_merged(jobs: Mapping[str, Any]) -> None:
    shards = jobs["test"]["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    assert jobs["test"]["strategy"]["fail-fast"] is False
    said = list(lines(jobs))
    assert ("test", f"./run_tests.py --shard ${{{{ matrix.shard }}}}/{len(shards)}") in said
    (merge,) = [line for name, line in said if name == "merge" and "report merge" in line]
    assert re.findall(r"build/shards/(\d+)", merge) == [str(number) for number in shards]
    # The merge runs when a shard has failed, and fails itself then.
    assert jobs["merge"]["needs"] == "test"
    assert jobs["merge"]["if"].startswith("always()")


def test_what_is_handed_over(jobs: Mapping[str, Any]) -> None:
    (pack,) = [line for name, line in lines(jobs) if name == "kernel" and line.startswith("tar ")]
    assert tuple(pack.split()[3:]) == builders.KERNEL
    assert steps(jobs, "kernel", "upload-artifact")[0]["name"] == "kernel"
    assert steps(jobs, "test", "download-artifact") == [{"name": "kernel", "path": "build"}]
    (kept,) = steps(jobs, "test", "upload-artifact")
    assert kept["path"].split() == ["build/shard.tar.gz", "build/reports"]
    (cache,) = steps(jobs, "kernel", "cache")
    assert cache["path"] == "build/ccache"
    whole = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert whole["env"]["CCACHE_DIR"].endswith("/build/ccache")
    assert whole["permissions"] == {"contents": "read"}
