"""The mails that tell how a build went: its report, or where it got stuck."""

from collections.abc import Generator
from email import message_from_string
from pathlib import Path
from typing import Any

from buildbot.plugins import reporters, util
from buildbot.process.results import SKIPPED, SUCCESS, Results
from buildbot.reporters.message import MessageFormatterBase
from twisted.internet import defer

from krsi_ci.builders import BRANCH, MERGE, SERIES
from krsi_ci.settings import Settings

REPORT = "report.txt"
#: Which builds are spoken of: all that have ended.
_MODE = ("passing", "warnings", "failing", "exception", "cancelled")
_FINE = (SUCCESS, SKIPPED, None)
#: Lines of a failed step's log that are quoted.
_TAIL = 20


def notifiers(settings: Settings) -> list[Any]:
    """Who writes: about the branch, and in answer to a series."""
    made = [_notifier(settings, BRANCH, reply=False, headers={})]
    if settings.maildir is not None:
        msgid = util.Property("msgid")
        headers = {"In-Reply-To": msgid, "References": msgid}
        made.append(_notifier(settings, SERIES, reply=settings.mail.reply, headers=headers))
    return made


def _notifier(settings: Settings, builder: str, *, reply: bool, headers: dict[str, Any]) -> Any:
    mail = settings.mail
    generator = reporters.BuildStatusGenerator(
        mode=_MODE, builders=[builder], message_formatter=Formatter()
    )
    return reporters.MailNotifier(
        name=f"mail about {builder}",
        fromaddr=mail.sender,
        extraRecipients=list(mail.to),
        sendToInterestedUsers=reply,
        relayhost=mail.server,
        smtpPort=mail.port,
        useTls=mail.tls,
        smtpUser=mail.user or None,
        smtpPassword=mail.password or None,
        extraHeaders=headers or None,
        generators=[generator],
    )


class Formatter(MessageFormatterBase):
    """Writes one mail."""

    def __init__(self) -> None:
        super().__init__(want_properties=True, want_steps=True)

    @defer.inlineCallbacks
    def format_message_for_build(
        self, master: Any, build: Any, **context: Any
    ) -> Generator[Any, Any, dict[str, Any]]:
        """As Buildbot asks for it."""
        del context
        name, number = build["builder"]["name"], build["number"]
        path = Path(master.basedir, "reports", f"{name}-{number}", REPORT)
        report = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        about = str(build["properties"].get("subject", [""])[0])
        result = Results[build["results"]]
        failed = []
        for step in build["steps"]:
            well = step["results"] in _FINE
            if well and (report or step["name"] != MERGE):
                continue
            end = yield _end(master, step["stepid"])
            if well:
                report = "\n".join(said(end))
            else:
                failed.append(f"{step['name']}: {Results[step['results']]}\n{quoted(end)}".rstrip())
        return {
            "subject": subject(report, about, f"{name} {number}", result),
            "body": body(report, failed, f"{build['url']}\n{result}"),
            "type": "plain",
            "extra_info": None,
        }


@defer.inlineCallbacks
def _end(master: Any, step: int) -> Generator[Any, Any, str]:
    """The end of what a step has said."""
    logs = yield master.data.get(("steps", step, "logs"))
    ends = []
    for log in logs:
        part = yield master.data.get(
            ("logs", log["logid"], "contents"),
            offset=max(0, log["num_lines"] - 10 * _TAIL),
            limit=10 * _TAIL,
        )
        ends.append(part["content"])
    return "".join(ends)


def said(log: str) -> list[str]:
    """The lines that a command has printed, of a log as Buildbot keeps it.

    A line begins with the stream that it came from: what Buildbot itself says of a command is too
    much, and nothing for others.
    """
    return [line[1:] for line in log.splitlines() if line[:1] in {"o", "e"}]


def quoted(log: str) -> str:
    """The last lines of a log, indented."""
    return "\n".join(f"    {line}" for line in said(log)[-_TAIL:])


def subject(report: str, about: str, name: str, result: str) -> str:
    """The mail's subject: the report's own, or what the build was about."""
    own = str(message_from_string(report).get("Subject", "")) if report else ""
    said = own or (f"Re: {about}: {result}" if about else f"{name}: {result}")
    return " ".join(said.split())


def body(report: str, failed: list[str], ending: str) -> str:
    """The mail's text: the report without its head, what failed, and how the build ended."""
    said = message_from_string(report)
    text = str(said.get_payload()) if said.get("Subject") else report
    return "\n\n".join(part for part in (text.strip(), *failed, ending) if part) + "\n"
