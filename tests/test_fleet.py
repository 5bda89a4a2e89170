"""Several machines at once: one report whatever the workers do. Real workers, made-up machines."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import fleet_fakes
from harness import proc
from harness.model import ROOT, Status
from harness.run import balance
from harness.run.fleet import Fleet
from harness.run.options import parse, pytest_arguments

_DRIVER = """\
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import test_fleet
from harness import proc
proc.end_on_signals()
test_fleet.drive(sys.argv[1])
"""


def drive(order: str) -> None:
    """Run what `order` says, and write down what became of it. In a process of its own."""
    said = json.loads(order)
    folder = Path(said["folder"])
    settings = said["plan"]
    plan = fleet_fakes.make(folder, **settings)
    options = parse(["-j", "2", *said["words"]])
    every = plan.entries()
    apart = balance.bins if said["bins"] else lambda *args: balance.units(*args[:2])
    units = apart(every, {"krsi": {"lsm_three": 9.0}}, 2)
    order_ = tuple(name for names in units.values() for name in names)
    crew = Fleet(replace(plan, order=order_), units, until_fail=options.until_fail)
    try:
        code = int(pytest.main(pytest_arguments(options, folder), plugins=[crew]))
    finally:
        crew.kill()
    for outcomes in crew.outcomes():
        plan.suite.learn(outcomes)
    found = {
        "code": code,
        "outcomes": {name: sorted(column) for name, column in plan.suite.outcomes().items()},
        "records": [
            {
                "name": record.name,
                "release": record.release,
                "consoles": [path.name for path in record.consoles],
                "rounds": [
                    {item.name: verdict.status.value for item, verdict in each.items()}
                    for each in (*record.earlier, record.verdicts)
                ],
            }
            for record in crew.records({})
        ],
    }
    (folder / "found.json").write_text(json.dumps(found))


@dataclass(frozen=True)
class Found:
    """What a run has left."""

    code: int
    records: list[dict[str, Any]]
    outcomes: dict[str, list[str]]
    ran: list[tuple[str, int, str]]
    output: str

    def of(self, variant: str) -> dict[str, str]:
        """The verdicts of the last round."""
        rounds = next(each["rounds"] for each in self.records if each["name"] == variant)
        return dict(rounds[-1])

    @property
    def items(self) -> list[str]:
        """What was run, without the ends of machines."""
        return [name for _, _, name in self.ran if name != "closed"]


def command(folder: Path, *words: str, bins: bool = False, **plan: Any) -> list[str]:
    order = {"folder": str(folder), "words": words, "bins": bins, "plan": plan}
    driver = _DRIVER.format(root=str(ROOT), tests=str(ROOT / "tests"))
    return [sys.executable, "-c", driver, json.dumps(order)]


def found_in(folder: Path, output: str) -> Found:
    found = json.loads((folder / "found.json").read_text())
    ran = [tuple(json.loads(line)) for line in (folder / "ran").read_text().splitlines()]
    return Found(found["code"], found["records"], found["outcomes"], ran, output)


def run(folder: Path, *words: str, bins: bool = False, **plan: Any) -> Found:
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = proc.run(
        command(folder, *words, bins=bins, **plan), env=environment, cwd=folder, timeout=120
    )
    return found_in(folder, done.stdout)


def test_two_machines_make_one_report(tmp_path: Path) -> None:
    found = run(tmp_path, deeds={"lsm_two/b": "fail", "lsm_one/a": "slow"})
    assert found.code == 1
    verdicts = found.of("krsi")
    names = [item.name for test in fleet_fakes.TESTS for item in test.items]
    assert list(verdicts) == names, "in the order of the sources"
    assert [name for name, status in verdicts.items() if status != "pass"] == ["lsm_two/b"]
    assert sorted(found.items) == sorted(names), "each once"
    machines = {where for where, _, _ in found.ran}
    assert machines == {"krsi-gw0", "krsi-gw1"}
    by_test = {(where, name.partition("/")[0]) for where, _, name in found.ran if name != "closed"}
    assert len(by_test) == len(fleet_fakes.TESTS), "a test stays in one machine"
    assert found.records[0]["consoles"] == ["console-krsi-gw0.log", "console-krsi-gw1.log"]
    assert found.records[0]["release"] == "6.12.1"
    assert found.outcomes == {"krsi": sorted(f"{test.name}/reported" for test in fleet_fakes.TESTS)}
    ends = Counter(where for where, _, name in found.ran if name == "closed")
    assert set(ends) == machines, "no machine outlives the run"
    assert "FAIL lsm_two/b[krsi] - bad" in found.output
    assert "  why" in found.output


def test_the_longest_test_is_first(tmp_path: Path) -> None:
    found = run(tmp_path)
    first = {where: name for where, _, name in reversed(found.ran)}
    assert "lsm_three/a" in first.values()


def test_a_worker_that_dies_is_replaced_and_its_test_is_lost(tmp_path: Path) -> None:
    found = run(tmp_path, deeds={"lsm_two/a": "die"})
    assert found.code == 1
    verdicts = found.of("krsi")
    lost = [name for name, status in verdicts.items() if status == Status.MISS.value]
    assert lost == ["lsm_two/a", "lsm_two/b", "lsm_two"]
    assert [name for name, status in verdicts.items() if status == "pass"]
    assert set(verdicts.values()) == {"pass", "miss"}
    assert max(Counter(found.items).values()) == 1, "nothing is run again"


def test_stop_at_the_first_failure(tmp_path: Path) -> None:
    found = run(tmp_path, "-x", deeds={"lsm_three/a": "fail"}, repeat=5)
    assert found.code == 1
    assert len(found.items) < 40
    assert "miss" in found.of("krsi").values()


def test_the_round_that_fails_is_the_last_one(tmp_path: Path) -> None:
    found = run(tmp_path, "--until-fail", deeds={"lsm_three": "fail"}, repeat=50)
    assert found.code == 1
    rounds = found.records[0]["rounds"]
    assert 1 <= len(rounds) < 10
    assert all("miss" not in each.values() for each in rounds)


def test_expressions_reach_the_workers(tmp_path: Path) -> None:
    found = run(tmp_path, "-k", "two/a", variants=("krsi", "upstream"))
    assert found.code == 0
    assert [each["rounds"] for each in found.records] == [[{"lsm_two/a": "pass"}]] * 2


def test_nothing_matches(tmp_path: Path) -> None:
    (tmp_path / "ran").touch()
    found = run(tmp_path, "-k", "nothing")
    assert (found.code, found.records) == (pytest.ExitCode.NO_TESTS_COLLECTED, [])


def test_kernels_that_are_compared_share_a_machine(tmp_path: Path) -> None:
    found = run(tmp_path, variants=("upstream", "krsi"), bins=True)
    assert found.code == 0
    where: dict[str, set[str]] = {}
    for machine, _, name in found.ran:
        if name != "closed":
            where.setdefault(name.partition("/")[0], set()).add(machine.rpartition("-")[2])
    assert all(len(machines) == 1 for machines in where.values())
    for machine in ("gw0", "gw1"):
        ran = [place for place, _, name in found.ran if machine in place and name != "closed"]
        kernels = [place.partition("-")[0] for place in ran]
        assert kernels == sorted(kernels, reverse=True), "one boot for each kernel"


def test_an_interrupt_ends_the_machines_and_keeps_the_results(tmp_path: Path) -> None:
    # The first two units: one for each machine, whichever is faster.
    words = command(tmp_path, deeds={"lsm_four/b": "wait", "lsm_three/b": "wait"})
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    log = tmp_path / "log"
    with proc.spawn(words, env=environment, cwd=tmp_path, log=log) as child:
        ran = tmp_path / "ran"
        while not ran.exists() or not {"lsm_four/b", "lsm_three/b"} <= {
            json.loads(line)[2] for line in ran.read_text().splitlines()
        }:
            assert child.poll() is None, log.read_text()
        child.terminate()
        assert child.wait(60) == 0, log.read_text()
    found = found_in(tmp_path, log.read_text())
    assert found.code == pytest.ExitCode.INTERRUPTED
    verdicts = found.of("krsi")
    assert verdicts["lsm_four/a"] == verdicts["lsm_three/a"] == "pass"
    assert verdicts["lsm_four/b"] == verdicts["lsm_two"] == "miss"
    ended = {where for where, _, name in found.ran if name == "closed"}
    assert ended == {"krsi-gw0", "krsi-gw1"}
