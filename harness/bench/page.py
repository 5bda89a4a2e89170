"""The documents: report.html with the plots in it, and docs/BENCH.md. Pure."""

from collections.abc import Mapping, Sequence

from jinja2 import Environment
from markupsafe import Markup

from harness.bench.record import Record
from harness.bench.tables import Table, all_tables, hooks_table, unsteady_notes

_METHOD = """\
One CPU, emulated by QEMU with `-icount shift=0`: the guest's clock counts instructions, so that no
figure depends on the host. Each call has a boot of its own, for all its states, whose whole user
space is one static program. A figure is the least over 200 batches of 16 calls, each shorter than a
tick, less what an empty batch takes, divided by 16; where an interrupt falls differs from boot to
boot, but not that least: two boots of a kernel give the same figure, unless it is marked. What
makes processes is measured one at a time, 50 times, and the kernel is let finish in between. The
few instructions around the system call in user space are in it, the same for all kernels. Before
anything is measured, the lists of the kernel's allocators are given enough of everything, so that
what was allocated before makes no difference (`bench/scatter.c`)."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>KRSI: what it costs</title>
<style>
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.prose td, .prose th { text-align: left; }
.problem { color: #a00; }
svg { width: 100%; height: auto; }
</style>
<h1>KRSI: what it costs</h1>
<p>{{ method }}</p>
<p>{{ origin }}</p>
{% for problem in problems %}<p class="problem">{{ problem }}</p>
{% endfor %}
{%- for plot in plots %}{{ plot }}
{% endfor %}
{%- for table in tables %}<h2>{{ table.title }}</h2>
<table{% if table.prose %} class="prose"{% endif %}>
<tr>{% for word in table.head %}<th>{{ word }}</th>{% endfor %}</tr>
{% for row in table.rows %}<tr>{% for word in row %}<td>{{ word }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% for note in table.notes %}<p>{{ note }}</p>
{% endfor %}
{%- endfor %}
{%- for note in notes %}<p>{{ note }}</p>
{% endfor %}</html>
"""


def html(record: Record, drawn: Mapping[str, str], more: Sequence[Table] = ()) -> str:
    """The content of report.html.

    Args:
        record: what was measured.
        drawn: the plots, SVG by file name.
        more: tables besides those of the record.
    """
    # An SVG inside HTML has no prologue.
    inner = [Markup(svg[svg.index("<svg") :]) for svg in drawn.values()]  # noqa: S704 - ours
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(
        method=_METHOD.replace("`", ""),
        origin=origin(record),
        problems=record.problems,
        plots=inner,
        tables=(*more, *_tables(record)),
        notes=unsteady_notes(record),
    )


def markdown(record: Record) -> str:
    """The content of docs/BENCH.md."""
    parts = [
        "# What it costs",
        "<!-- Made by `make bench-doc` from bench.json: do not edit. -->",
        _METHOD,
        origin(record),
        *(f"**{problem}**" for problem in record.problems),
        *(table.markdown() for table in _tables(record)),
        "## What wavers, and why",
        *unsteady_notes(record),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(record: Record) -> tuple[Table, ...]:
    hooks = hooks_table(record)
    return (*all_tables(record), *([hooks] if hooks.rows else []))


def origin(record: Record) -> str:
    """What was measured, in a sentence."""
    kernels = [f"{kernel.variant} ({_version(kernel.manifest)})" for kernel in record.kernels]
    return f"Measured with {record.qemu}: {', '.join(kernels)}."


def _version(manifest: Mapping[str, object]) -> str:
    base, series = manifest.get("base"), manifest.get("series")
    version = base.get("version", "?") if isinstance(base, dict) else "?"
    known = isinstance(series, dict) and series.get("hash")
    return f"Linux {version}, series {series['hash']}" if known else f"Linux {version}"  # type: ignore[index]
