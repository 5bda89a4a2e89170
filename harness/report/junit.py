"""junit.xml, as GitLab and Jenkins read it. Pure.

A suite is a kernel, a case an item. What has no verdict is an error, what failed a failure, and so
is what befell a kernel outside of any test: a reader that counts cases must not see all well.
"""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from harness.model import Status
from harness.report.results import Kernel, Result, Results
from harness.report.text import bounded, one_line
from harness.verdicts.splat import Splat

#: The most that a case may say, and all cases together, in characters: GitLab reads no more than
#: 30 MB, and Jenkins keeps all of it in memory.
CASE_LIMIT = 1 << 16
LIMIT = 8 << 20
_MESSAGE = 1000
_SAID_ELSEWHERE = "what it printed is in results.json: this file would be too long"


def render(found: Results) -> str:
    """The content of junit.xml."""
    root = ET.Element("testsuites", name=one_line(f"krsi {found.suite}"))
    budget = _Budget(LIMIT)
    suites = [_suite(found, kernel, budget) for kernel in found.kernels]
    root.extend(suites)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{found.seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


class _Budget:
    """How much may be said yet."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, text: str) -> str:
        """The text, or a sentence if there is no room for it."""
        if len(text) > self._left:
            return _SAID_ELSEWHERE
        self._left -= len(text)
        return text


def _suite(found: Results, kernel: Kernel, budget: _Budget) -> ET.Element:
    items = found.of(kernel.variant)
    cases = [_case(found, item, budget) for item in items]
    cases += [_beside(found, kernel, _text_of([stray]), budget, stray) for stray in kernel.strays]
    if kernel.error:
        cases.append(_beside(found, kernel, kernel.error, budget))
    suite = ET.Element(
        "testsuite",
        name=one_line(f"{found.suite}.{kernel.variant}"),
        tests=str(len(cases)),
        failures=_count(cases, "failure"),
        errors=_count(cases, "error"),
        skipped=_count(cases, "skipped"),
        time=f"{sum(item.seconds for item in items):.3f}",
        timestamp=found.started.strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=one_line(f"krsi-{kernel.variant}"),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(found, kernel):
        ET.SubElement(properties, "property", name=name, value=one_line(value))
    suite.extend(cases)
    return suite


def _count(cases: Iterable[ET.Element], what: str) -> str:
    return str(sum(case.find(what) is not None for case in cases))


def _facts(found: Results, kernel: Kernel) -> list[tuple[str, str]]:
    return [
        ("variant", kernel.variant),
        ("release", kernel.release),
        ("series", str(kernel.series.get("hash", ""))),
        ("accelerator", found.accelerator),
        ("cpus", str(found.cpus)),
        ("options", " ".join(found.options)),
    ]


def _case(found: Results, item: Result, budget: _Budget) -> ET.Element:
    suffix = f"#{item.round}" if found.rounds > 1 else ""
    case = ET.Element(
        "testcase",
        classname=one_line(f"{found.suite}.{item.variant}.{item.test}"),
        name=one_line(f"{item.name}{suffix}"),
        time=f"{item.seconds:.3f}",
    )
    message = one_line(item.message)[:_MESSAGE]
    if item.status is Status.SKIP:
        ET.SubElement(case, "skipped", message=message or "no reason given")
    elif item.status is Status.XFAIL:
        ET.SubElement(case, "skipped", message=f"failed as expected: {message}")
    elif item.status is Status.MISS:
        _say(case, "error", item.status.value, message, budget.take(_explanation(item)))
    elif item.status is not Status.PASS:
        _say(case, "failure", item.status.value, message, budget.take(_explanation(item)))
    if item.diagnostics:
        said = bounded(item.diagnostics, CASE_LIMIT)
        ET.SubElement(case, "system-out").text = budget.take(said)
    return case


def _say(case: ET.Element, what: str, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, what, type=kind, message=message or kind).text = text


def _explanation(item: Result) -> str:
    """What GitLab shows: the sentence, the assertions, the splats."""
    asserted = [line for line in item.diagnostics if ":FAIL:" in line]
    return bounded((item.message, *asserted, _text_of(item.splats)), CASE_LIMIT)


def _text_of(splats: Sequence[Splat]) -> str:
    return "\n\n".join("\n".join(found.lines) for found in splats)


def _beside(
    found: Results, kernel: Kernel, said: str, budget: _Budget, stray: Splat | None = None
) -> ET.Element:
    """A case for what befell a kernel outside of any test."""
    where = f"during {stray.section or 'boot'}" if stray else "machine"
    case = ET.Element(
        "testcase",
        classname=one_line(f"{found.suite}.{kernel.variant}"),
        name=one_line(f"{where}: {stray.title}" if stray else where)[:_MESSAGE],
        time="0.000",
    )
    message = one_line(stray.title if stray else kernel.error)[:_MESSAGE]
    kind = stray.kind if stray else "infrastructure"
    text = budget.take(bounded([said], CASE_LIMIT))
    _say(case, "failure" if stray else "error", one_line(kind), message, text)
    return case
