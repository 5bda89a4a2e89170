"""junit.xml: what GitLab and Jenkins ask of it, and that a fault is never a case that is well.

Jenkins' junit-10.xsd and GitLab's reader agree on this: elements, attributes and nesting below.
"""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import runs
from harness import proc
from harness.model import ROOT
from harness.report import junit
from harness.report.results import Results

#: By element: its attributes, those that it must have first, and which elements it may hold.
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (
        set(),
        {"name", "time", "tests", "failures", "errors", "skipped"},
        {"testsuite"},
    ),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"hostname"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"classname", "name", "time"},
        set(),
        {"skipped", "error", "failure", "system-out"},
    ),
    "skipped": ({"message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "failure": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}
ALONE = ("skipped", "error", "failure")
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\\[31m")


def check(element: ET.Element) -> None:
    """Assert that an element and all below it is as both readers want it."""
    required, optional, children = SCHEMA[element.tag]
    assert required <= set(element.keys()) <= required | optional, element.tag
    assert {child.tag for child in element} <= children
    if not children and element.tag != "property":
        assert not list(element)
    for name in ("tests", "failures", "errors", "skipped"):
        if element.get(name) is not None:
            assert re.fullmatch(r"\d+", element.get(name, ""))
    if element.get("time") is not None:
        assert re.fullmatch(r"\d+\.\d+", element.get("time", ""))
    if element.get("timestamp") is not None:
        # Jenkins wants ISO 8601 without a zone.
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.get("timestamp", ""))
    if element.tag == "testcase":
        assert sum(child.tag in ALONE for child in element) <= 1
        assert len(element.findall("system-out")) <= 1
    for child in element:
        check(child)


def parsed(found: Results) -> ET.Element:
    text = junit.render(found)
    assert not _FORBIDDEN.search(text)
    return ET.fromstring(text)


def cases(root: ET.Element) -> dict[str, ET.Element]:
    return {case.get("name", ""): case for case in root.iter("testcase")}


@pytest.mark.parametrize(
    "found",
    [
        runs.rich(),
        runs.run(),
        runs.run(kernels=(runs.kernel(error="did not boot", manifest={}),)),
    ],
    ids=["rich", "empty", "unbootable"],
)
def test_both_readers_take_it(found: Results) -> None:
    root = parsed(found)
    check(root)
    for suite in root.iter("testsuite"):
        counted = {
            "tests": len(suite.findall("testcase")),
            "failures": len(suite.findall("testcase/failure")),
            "errors": len(suite.findall("testcase/error")),
            "skipped": len(suite.findall("testcase/skipped")),
        }
        assert {name: int(suite.get(name, "")) for name in counted} == counted
    # GitLab tells cases apart by suite, class and name.
    names = [(s.get("name"), c.get("classname"), c.get("name")) for s in root for c in s]
    assert len(names) == len(set(names))


def test_every_status_has_its_element() -> None:
    seen = cases(parsed(runs.run(*runs.every_status())))
    kinds = {
        name: next((child.tag for child in case if child.tag in ALONE), "")
        for name, case in seen.items()
    }
    assert kinds == {
        "lsm_attach/pin": "",
        "lsm_attach": "",
        "lsm_lifetime/netns": "failure",
        "lsm_lifetime": "failure",
        "lsm_files/extended_attributes": "failure",
        "lsm_nomem": "skipped",
        "lsm_scale/leaks": "failure",
        "lsm_race/exit": "failure",
        "lsm_race/later": "error",
        "lsm_talk": "failure",
        "lsm_known/x": "skipped",
    }
    failure = seen["lsm_lifetime/netns"].find("failure")
    assert failure is not None
    assert failure.get("message") == runs.FAILED
    assert runs.FAILED in (failure.text or "")
    assert seen["lsm_lifetime/netns"].findtext("system-out") == f"rounds: 4\n{runs.FAILED}"
    assert "security/security.c:2311" in (
        seen["lsm_files/extended_attributes"].findtext("failure") or ""
    )
    assert seen["lsm_attach/pin"].get("classname") == "krsi.krsi.lsm_attach"
    assert seen["lsm_attach/pin"].get("time") == "1.250"


def test_what_befell_a_kernel_is_a_case() -> None:
    stray = replace(runs.SPLAT, section="")
    kernels = (runs.kernel(strays=(stray,)), runs.kernel("debug", error="did not boot"))
    root = parsed(runs.run(runs.item("lsm_x"), kernels=kernels))
    seen = cases(root)
    assert seen[f"during boot: {stray.title}"].find("failure") is not None
    assert seen["machine"].find("error") is not None
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")


def test_colours_and_controls_are_stripped() -> None:
    said = (
        "\x1b[31mred\x1b[0m \N{REPLACEMENT CHARACTER}[1;31mred\x07\0\x9b31m ]]> & < \ud800 \ufffe"
    )
    item = runs.item("lsm_x", "fail", message=said, diagnostics=(said,))
    case = cases(parsed(runs.run(item)))["lsm_x"]
    assert case.findtext("system-out") == "red red ]]> & <  "
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "red red ]]> & <"


def test_the_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    long = tuple(f"line {number} " + "x" * 90 for number in range(5000))
    item = runs.item("lsm_x/a", "fail", diagnostics=long, message="y" * 99_999)
    case = cases(parsed(runs.run(item)))["lsm_x/a"]
    out = case.findtext("system-out") or ""
    assert len(out) <= junit.CASE_LIMIT
    assert out.startswith("line 0 ")
    assert "line 4999 " in out
    assert "characters are left out here" in out
    monkeypatch.setattr(junit, "LIMIT", 3 * junit.CASE_LIMIT)
    many = [replace(item, name=f"lsm_x/{number}") for number in range(50)]
    text = junit.render(runs.run(*many))
    assert len(text) < 5 * junit.CASE_LIMIT
    assert text.count("this file would be too long") >= 90
    assert len(ET.fromstring(text).findall(".//failure")) == 50


def test_ci_adds_it_up(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(junit.render(runs.rich()), "utf-8")
    done = proc.run(["python3", ROOT / ".ci/tally.py", "0", tmp_path / "junit.xml"], check=None)
    assert done.stdout == "4 passed, 9 failed, 2 skipped\n"
    assert done.returncode == 1
