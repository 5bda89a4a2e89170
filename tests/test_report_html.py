"""report.html: what is in it, that nothing breaks out of it, and how it looks in a browser."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import browser
import runs
from harness.errors import InfraError
from harness.model import Life
from harness.report import compare, consoles, html, timeline
from harness.report.results import Results

LOG = """\
[    0.100000] Linux version 6.12
[    1.000000] krsi: begin lsm_lifetime
[    1.100000] lsm_tests: lsm_lifetime/netns
[    1.200000] netns: gone
[    1.300000] lsm_tests: lsm_lifetime/other
[    1.400000] other: gone
[    1.500000] krsi: end lsm_lifetime
[    2.000000] krsi: begin lsm_race
"""
HOSTILE = (
    '</pre></style></title><script>document.title="owned"</script>'
    "<img src=x onerror=alert(1)>\"'><!-- {{ 7 * 7 }} {% raw %} \x1b[31m\0\ud800 "
)
PLOT = (
    '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 576 288">'
    '<g id="a"><path style="fill: #ffffff" d="M0 0h576v288H0z"/><path style="stroke: #000000"'
    ' d="M40 250H560"/><text x="50" y="60">instructions</text></g></svg>'
)


class Page(HTMLParser):
    """What a reader of HTML makes of a page."""

    #: Elements that have no end.
    VOID = ("meta", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def logs(text: str = LOG) -> dict[str, tuple[consoles.Log, ...]]:
    return {"krsi": (consoles.log_of("console-krsi.log", text),)}


def full() -> str:
    """A page that has all there is."""
    found = runs.rich()
    old = runs.run(*runs.every_status()[:2], runs.item("lsm_nomem", "fail"))
    comparison = compare.compare(old, found, baseline="build/reports/before")
    return html.render(found, logs(), comparison=comparison, plots=(PLOT, PLOT), made="today")


def test_all_sections_are_there_and_close() -> None:
    page = Page(full())
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    sections = ("kernels", "baseline", "strays", "failures", "tests", "timeline", "bench")
    assert [name for name in ids if name in sections] == list(sections)
    targets = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)


def test_it_needs_nothing_but_itself() -> None:
    text = full()
    tags = Page(text).tags
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in tags}
    assert not [a for _, a in tags if "src" in a or any(name.startswith("on") for name in a)]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    for tag, attributes in tags:
        if tag == "a":
            assert not re.match("[a-z]+:|//", attributes["href"] or "")
    (policy,) = [a["content"] for _, a in tags if a.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_a_failure_shows_all_that_is_known() -> None:
    text = Page(full()).text
    assert "8 of 13 items failed" in text
    assert runs.FAILED in text
    assert "netns: gone" in text
    assert "other: gone" not in text
    assert "./run_tests.py lsm_lifetime/netns" in text
    assert "(security/security.c:2311)" in text
    # The test as a whole says no more than its subtest.
    names = [failure.item.name for failure in html.failures(runs.rich(), {})]
    assert "lsm_lifetime" not in names
    assert names[0] == "lsm_race/exit"


def test_another_suite_and_kernel_are_in_the_command() -> None:
    found = runs.run(runs.item("a b", "fail", variant="debug"), suite="clients")
    (failure,) = html.failures(found, {})
    assert failure.rerun == "./run_tests.py --suite clients --kernel debug 'a b'"


def test_the_command_that_runs_it_again_is_the_one_that_was_noted() -> None:
    again = "./run_tests.py --append lsm=yama --cpus 4 lsm_x"
    item = replace(runs.item("lsm_x", "fail", variant="krsi"), again=again)
    (failure,) = html.failures(runs.run(item), {})
    assert failure.rerun == again


def test_nothing_printed_becomes_markup() -> None:
    item = runs.item(
        f"lsm_x/{HOSTILE}",
        "splat",
        HOSTILE,
        message=HOSTILE,
        diagnostics=(HOSTILE,),
        splats=(replace(runs.SPLAT, kind=HOSTILE, title=HOSTILE, lines=(HOSTILE,)),),
    )
    kernel = runs.kernel(
        HOSTILE,
        release=HOSTILE,
        error=HOSTILE,
        notes=(HOSTILE,),
        manifest={"series": {"hash": HOSTILE}, "toolchain": {"gcc": HOSTILE}},
        strays=(replace(runs.SPLAT, section=HOSTILE, title=HOSTILE),),
    )
    skipped = runs.item("lsm_y", "skip", HOSTILE, message=HOSTILE)
    found = runs.run(item, skipped, kernels=(kernel,), suite=HOSTILE, accelerator=HOSTILE)
    old = runs.run(suite=HOSTILE)
    comparison = compare.compare(old, found, baseline=HOSTILE)
    log = {HOSTILE: (consoles.log_of(HOSTILE, f"krsi: begin lsm_x/{HOSTILE}\n{HOSTILE}\n"),)}
    text = html.render(found, log, comparison=comparison)
    page = Page(text)
    assert page.open == []
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    assert "{{ 7 * 7 }}" in page.text


def test_the_matrix_is_tests_by_kernels() -> None:
    rows = {row.name: row for row in html.matrix(runs.rich())}
    krsi, upstream = rows["lsm_attach"].cells
    assert (krsi.status, krsi.count, krsi.flaky) == ("fail", "0/1", True)
    assert (upstream.status, upstream.count, upstream.flaky) == ("pass", "1", False)
    assert [cell.status for cell in rows["lsm_talk"].cells] == ["flood", "none"]
    assert [row.name for row in html.matrix(runs.rich())][-1] == "lsm_known"
    assert [row.name for row in rows["lsm_race"].subtests] == ["exit", "later"]


def test_the_log_of_an_item_is_that_of_its_last_run() -> None:
    again = f"{LOG}krsi: begin lsm_lifetime\nlsm_tests: lsm_lifetime/netns\nnew\n"
    found = logs(again)["krsi"]
    assert consoles.excerpt(found, "lsm_lifetime/netns")[1][-1] == "new"
    assert "netns: gone" not in consoles.excerpt(found, "lsm_lifetime/netns")[1]
    name, lines = consoles.excerpt(logs()["krsi"], "lsm_lifetime", limit=2)
    assert lines[0].startswith("[ 4 lines before")
    assert name == "console-krsi.log"
    assert consoles.excerpt(found, "lsm_no") == ("", ())


def machines() -> Results:
    """Two machines of one kernel at the same time; a test in each."""
    lives = (Life("one.log", 100, 110, 200), Life("two.log", 100, 0, 180))
    items = (
        runs.item("lsm_a/x", started=120, seconds=10),
        runs.item("lsm_a", started=130, seconds=10),
        runs.item("lsm_b", "fail", started=120, seconds=40),
    )
    return runs.run(*items, kernels=(runs.kernel(machines=lives),))


def test_the_timeline() -> None:
    known = {
        "one.log": consoles.log_of("one.log", "krsi: begin lsm_a\n"),
        "two.log": consoles.log_of("two.log", "krsi: begin lsm_b\n"),
    }
    drawn = timeline.draw(machines(), known)
    assert drawn is not None
    one, two = drawn.lanes
    bars = [(bar.what, bar.status, bar.left, bar.width) for bar in one.bars]
    assert bars == [
        ("machine", "machine", 0, 100),
        ("boot", "boot", 0, 10),
        ("lsm_a", "pass", 20, 20),
    ]
    assert two.bars[1].what == "did not boot"
    assert (two.bars[2].what, two.bars[2].status) == ("lsm_b", "fail")
    assert drawn.ticks[0] == (0.0, "0:00")
    assert timeline.draw(runs.run(kernels=(runs.kernel(machines=()),)), {}) is None


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    try:
        with browser.opened() as opened:
            yield opened
    except InfraError as error:
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "report.html"
    long = runs.item("lsm_long/" + "n" * 90, "fail", message="m" * 300, diagnostics=("d" * 3000,))
    found = runs.rich()
    wide = [runs.item("lsm_attach", variant=v) for v in ("none", "audit", "debug", "kcsan")]
    kernels = (*found.kernels, *(runs.kernel(each.variant) for each in wide))
    found = replace(found, items=(*found.items, long, *wide), kernels=kernels)
    old = runs.run(*runs.every_status()[:2])
    comparison = compare.compare(old, found, baseline="b" * 200)
    text = html.render(found, logs(), comparison=comparison, plots=(PLOT, PLOT), made="today")
    path.write_text(text, "utf-8")
    return path


#: What sticks out of the window, but for what can be scrolled by itself.
_OVERFLOW = """
const scrolls = e => { for (; e; e = e.parentElement)
  if (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)) return true; return false; };
return [...document.body.querySelectorAll('*')]
  .filter(e => !scrolls(e) && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.outerHTML.slice(0, 80))
  .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : []);
"""
#: Text that is hard to read: the contrast with what is behind it, by WCAG 2, and small letters.
_UNREADABLE = """
const rgb = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = e => { for (; e; e = e.parentElement) {
  const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c; }
  return [255, 255, 255]; };
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let n; n = walk.nextNode();) {
  const e = n.parentElement, style = getComputedStyle(e);
  if (!n.textContent.trim() || e.closest('.track, svg, .sr') || !e.checkVisibility()) continue;
  const [a, b] = [light(rgb(style.color)), light(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5 || parseFloat(style.fontSize) < 11)
    found.push(`${ratio.toFixed(2)} ${style.fontSize} ${n.textContent.trim().slice(0, 40)}`);
}
return found;
"""
_FAILURES = """
const readable = e =>
  e.checkVisibility() && e.clientWidth > 200 && e.scrollWidth <= e.clientWidth + 1;
return [...document.querySelectorAll('.failure')]
  .filter(f => [...f.querySelectorAll('.message, pre')].every(readable)).length;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_looks_right(
    chromium: browser.Browser, page: Path, width: int, theme: browser.Theme
) -> None:
    chromium.open(page, width, theme)
    assert chromium.ask("return innerWidth") == width
    assert chromium.ask(_OVERFLOW) == []
    assert chromium.ask(_UNREADABLE) == []
    assert chromium.ask(_FAILURES) == page.read_text("utf-8").count('class="failure')
    dark = (
        chromium.ask("return getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 27)"
    )
    assert dark == (theme == "dark")
    assert chromium.ask("return performance.getEntriesByType('resource').length") == 0
    assert chromium.screenshot().startswith(b"\x89PNG")


def test_it_can_be_printed(chromium: browser.Browser, page: Path) -> None:
    chromium.open(page, 1280, "light")
    pdf = chromium.pdf()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 2
    # What is folded on the screen is there on paper.
    folded = "return [...document.querySelectorAll('details:not([open]) > *:not(summary)')]"
    assert chromium.ask(f"{folded}.length") > 0
    assert chromium.ask(f"{folded}.filter(e => !e.checkVisibility()).length") == 0
    assert chromium.ask(
        "return [...document.querySelectorAll('pre')].every(e => "
        "e.scrollHeight <= e.clientHeight + 1)"
    )


def test_nothing_printed_runs(chromium: browser.Browser, tmp_path: Path) -> None:
    item = runs.item("lsm_x", "fail", message=HOSTILE, diagnostics=(HOSTILE,))
    path = tmp_path / "report.html"
    path.write_text(html.render(runs.run(item), {}), "utf-8")
    chromium.open(path, 390, "light")
    assert chromium.ask("return document.title") == "KRSI: krsi on krsi: 1 of 1 item failed"
    assert chromium.ask("return document.scripts.length + document.images.length") == 0
