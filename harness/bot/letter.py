"""The answer as a mail and as JSON. Pure: from an answer to text."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, parseaddr
from typing import Any

from harness.bot.answer import EACH, FIRST, LAST, WHAT, Answer, Check, name_of
from harness.bot.mail import one_line
from harness.model import Status

SCHEMA = 1
SENDER = "KRSI bot <krsi@localhost>"
_WIDTH = 72
_MOST_DETAILS = 10
_LONGEST = 300
_WORDS = {Status.PASS: "ok", Status.FAIL: "FAILED", Status.SKIP: "skipped", Status.MISS: "not run"}


def content(answer: Answer) -> dict[str, Any]:
    """What goes into report.json. `schema` grows when a field changes its meaning or goes."""
    series = answer.series
    return {
        "schema": SCHEMA,
        "exit_code": answer.exit_code,
        "error": answer.error,
        "seconds": round(answer.seconds, 1),
        "on": answer.on,
        "base": answer.base,
        "series": {
            "title": series.title,
            "version": series.version,
            "total": series.total,
            "message_id": series.head.message_id,
            "patches": [
                {
                    "number": mail.tag.number if mail.tag else 0,
                    "title": mail.title,
                    "message_id": mail.message_id,
                    "author": mail.author,
                }
                for mail in series.patches
            ],
            "notes": list(series.notes),
        },
        "checks": [_check(each) for each in answer.checks],
        "bounds": list(answer.bounds),
        "limited": [
            {"check": check.name, "patch": check.patch, "what": found.what, "how": found.how}
            for check, found in answer.limited
        ],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "patch": check.patch,
        "status": check.status.value,
        "details": list(check.details),
        "seconds": check.seconds,
        "log": check.log,
    }


def text(answer: Answer, logs: str, now: datetime) -> str:
    """What goes into report.txt: a mail that answers the cover letter.

    Args:
        answer: what to say.
        logs: where the logs are.
        now: its date.
    """
    headers = "".join(f"{name}: {value}\n" for name, value in _headers(answer, now).items())
    return f"{headers}\n{body(answer, logs)}"


def _headers(answer: Answer, now: datetime) -> Mapping[str, str]:
    series = answer.series
    head = series.head
    addressed = parseaddr(head.sender)[1]
    others = {parseaddr(each)[1]: each for mail in series.mails for each in (*mail.to, *mail.cc)}
    others.pop(addressed, None)
    parents = tuple(dict.fromkeys((*head.parents, head.message_id)))
    found = {
        "From": SENDER,
        "To": head.sender,
        "Cc": ",\n\t".join(others.values()),
        "Subject": _encoded("Subject", f"Re: {head.subject}"),
        "Date": format_datetime(now),
        "In-Reply-To": head.message_id,
        "References": "\n\t".join(filter(None, parents)),
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
    }
    return {name: value for name, value in found.items() if value}


def _encoded(name: str, value: str) -> str:
    line = one_line(value)
    return line if line.isascii() else Header(line, "utf-8", header_name=name).encode()


def body(answer: Answer, logs: str) -> str:
    """The text of the mail."""
    parts = [
        _wrapped(_verdict(answer)),
        _table(answer),
        *_complaints(answer),
        _limits(answer),
        _wrapped(f"Logs: {logs}", keep=True),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(answer: Answer) -> str:
    place = f"on {answer.base}" if answer.base else f"on {answer.on}"
    total = len(answer.checks)
    said = f"An automatic answer. This series was looked at {place}, in {answer.seconds:.0f} s: "
    if answer.error:
        return (
            f"{said}that is not done, for a reason that is not the series' own: {answer.error} "
            f"{len(answer.missing)} of {total} checks were not made."
        )
    bad, missing = len(answer.bad), len(answer.missing)
    if not bad and not missing:
        return f"{said}all {total} checks went well."
    left = f", and {missing} could not be made because of that" if missing else ""
    return f"{said}{bad} of {total} checks FAILED{left}."


def _table(answer: Answer) -> str:
    """A line for each patch, and one for each check of the whole."""
    series = answer.series
    lines = []
    for mail in series.patches:
        number = mail.tag.number if mail.tag else 0
        lines.append(f"{name_of(series, number):>6} {one_line(mail.title)[: _WIDTH - 7]}")
        checks = [answer.check(name, number) for name in EACH]
        words = ", ".join(f"{check.name} {_WORDS[check.status]}" for check in checks)
        lines += textwrap.wrap(words, _WIDTH - 7, initial_indent=" " * 7, subsequent_indent=" " * 7)
    whole = [answer.check(name) for name in (*FIRST, *LAST)]
    words = ", ".join(f"{check.name} {_WORDS[check.status]}" for check in whole)
    lines += textwrap.wrap(words, _WIDTH, initial_indent="series ", subsequent_indent=" " * 7)
    notes = [
        line for note in series.notes for line in textwrap.wrap(one_line(f"Note: {note}."), _WIDTH)
    ]
    return "\n".join([*lines, *notes])


def _complaints(answer: Answer) -> Iterator[str]:
    for check in answer.checks:
        if check.status is Status.FAIL:
            name = name_of(answer.series, check.patch)
            lines = [f"{name} {check.name}: {WHAT[check.name]}: FAILED", *_details(check)]
            yield "\n".join(lines)
    for check in answer.checks:
        if check.status is Status.SKIP and not check.patch:
            yield _wrapped(f"{check.name}: skipped: {'; '.join(check.details)}.")


def _details(check: Check) -> Iterator[str]:
    """What is wrong, indented; such lines are quoted from tools, and not wrapped."""
    for line in check.details[:_MOST_DETAILS]:
        yield f"  {one_line(line)[:_LONGEST]}"
    if len(check.details) > _MOST_DETAILS:
        yield f"  … and {len(check.details) - _MOST_DETAILS} more"
    if check.log:
        yield f"  log: {check.log}"


def _limits(answer: Answer) -> str:
    met = [
        f"  {name_of(answer.series, check.patch)} {check.name}: {one_line(str(found))[:_LONGEST]}"
        for check, found in answer.limited
    ]
    first = "What was limited:" if met else "What was limited: nothing ran into a limit."
    return "\n".join([first, *met, *(_wrapped(line, indent="  ") for line in answer.bounds)])


def _wrapped(said: str, *, keep: bool = False, indent: str = "") -> str:
    lines: Sequence[str] = (
        [said]
        if keep
        else textwrap.wrap(one_line(said), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    )
    return "\n".join(lines)
