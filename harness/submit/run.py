"""`make submit`: write the mails, check them as a maintainer's bot would, and show a table.

Mails that are ready lie in build/outgoing/v<N>/, and others in build/outgoing/v<N>.draft/: nobody
sends by mistake what a check has something against.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import packages
from harness.checks import check, prefixes
from harness.errors import UsageError
from harness.kernel import build
from harness.progress import say
from harness.submit import cover, links, review, tools
from harness.submit.compose import (
    MEMORY,
    SETTINGS,
    Commits,
    Request,
    Submission,
    compose,
    locate,
    read_settings,
)
from harness.submit.review import Check
from harness.trees import export, series, tree

#: The file in a submission's folder that says that it was sent.
SENT = "sent"
_UNDERLINE = re.compile(r"\.rst:\d+: leftover conflict marker$")
#: Faults of one check that are printed; all are written down.
_SHOWN = 8
_COLOURS = {"ok": "green", "FAILED": "bold red", "allowed": "yellow"}


def run(request: Request) -> bool:
    """Write the mails, check them and say what came of it; returns whether they are ready.

    Raises:
        UsageError: the request is wrong, or there is nothing that could be submitted.
        BuildError: the series does not apply.
        InfraError: something the machine should have is missing.
    """
    settings = read_settings(request.root / SETTINGS)
    submitter = tools.identity(request.root)
    needs = () if request.kernel_src else packages.BASE
    packages.ensure((*needs, *packages.CHECK, *packages.SUBMIT), say)
    with build.exclusive(request.build, "sources.lock"):
        commits = locate(request)
        submission = compose(request, commits, settings, submitter)
        checks = judge(request, commits, submission)
    show(checks)
    ready = all(each.well for each in checks)
    folder = _settle(request, commits, submission, checks, ready=ready)
    for each in checks:
        for fault in each.faults[:_SHOWN]:
            say(f"{each.name}: {fault}")
        if len(each.faults) > _SHOWN:
            say(f"{each.name}: and {len(each.faults) - _SHOWN} more, in {folder / MEMORY}")
    addresses = len(submission.whom[0].addresses)
    what = f"{len(submission.messages)} mails to {addresses} addresses"
    if not ready:
        say(f"submit: NOT ready; the draft is in {folder}")
        return False
    say(f"submit: {what} are ready in {folder}")
    if request.send:
        _send(request, submission, folder, what)
    return True


def judge(request: Request, commits: Commits, made: Submission) -> tuple[Check, ...]:
    """Every check, in the order of the table."""
    letter, *patches = made.messages
    repo, text = commits.repo, request.patches / export.COVER_TEXT
    public = commits.public_base
    nobody = "" if public != commits.state.base else "KERNEL_SRC=a git tree names one others have"
    steps: tuple[Callable[[], Check], ...] = (
        lambda: Check(
            "base",
            review.base_faults(letter, public, request.prerequisites),
            "rebase build/tree onto the tag `base`",
            f"{commits.origin}; {nobody}".rstrip("; "),
        ),
        lambda: Check(
            "cover letter", review.cover_faults(letter, made.text), f"write it in {text}"
        ),
        lambda: Check(
            "changelog",
            review.changelog_faults(made.changes, request.version),
            f"write it under `v{request.version}` in {request.patches / cover.CHANGELOG}",
            "the first version has none" if request.version == 1 else "",
        ),
        lambda: Check(
            "thread",
            review.thread_faults(made.mbox, made.messages),
            "say the line otherwise, and `make patches`",
            letter.msg_id,
        ),
        lambda: Check(
            "subjects",
            review.subject_faults(made.messages, made.prefix),
            "git rebase -i base, in build/tree; then `make patches`",
            f"[{made.prefix} n/m]",
        ),
        lambda: Check(
            "sign-off",
            review.sign_off_faults(patches, made.submitter),
            "ask the author for a sign-off; another's is never added",
            str(made.submitter),
        ),
        lambda: Check(
            "recipients",
            review.recipient_faults(patches, made.named, made.whom),
            "let a section of MAINTAINERS name the files, with its people and list",
            f"the cover letter: {len(made.whom[0].to)} To, {len(made.whom[0].cc)} Cc",
        ),
        lambda: Check(
            "checkpatch",
            _checkpatch(request, commits, made.folder),
            "mend the patch, or give the reason in policy/checkpatch-allow.txt",
        ),
        lambda: Check("whitespace", _whitespace(commits), "git rebase --whitespace=fix base"),
        lambda: _tested(request, commits),
        lambda: Check(
            "links",
            tuple(fault for message in made.messages for fault in links.faults(message)),
            "link to a mail by its Message-ID",
        ),
        lambda: Check(
            "send-email",
            tools.would_send(repo, made.messages, made.files),
            "see what it says",
            "git send-email --dry-run takes all of them",
        ),
        lambda: Check(
            "b4",
            tools.round_trip(repo, made.mbox, (commits.first, commits.head), made.submitter),
            "compare with `b4 am -m` on the mbox",
            "b4 am gives the same commits",
        ),
    )
    return allowed([step() for step in steps], request.allow)


def allowed(checks: Sequence[Check], names: frozenset[str]) -> tuple[Check, ...]:
    """Forgive the checks that may fail.

    Raises:
        UsageError: there is no check of that name.
    """
    unknown = sorted(names - {each.name for each in checks})
    if unknown:
        known = ", ".join(each.name for each in checks)
        raise UsageError(f"ALLOW: there is no check {unknown[0]!r}; there are: {known}.")
    return tuple(replace(each, allowed=each.name in names) for each in checks)


def _checkpatch(request: Request, commits: Commits, folder: Path) -> tuple[str, ...]:
    said = check.checkpatch(commits.repo, series.read(folder), check.SUBMITTED)
    return check.forgive(said, request.root / "policy/checkpatch-allow.txt")


def _whitespace(commits: Commits) -> tuple[str, ...]:
    span = f"{commits.first}..{commits.head}"
    said = commits.repo.run("log", "--check", "--format=", span, check=None)
    if said.ok:
        return ()
    found = [line for line in said.stdout.splitlines() if line and line[0] not in "+-"]
    # What underlines a title of seven letters in a document is no conflict.
    faults = [line for line in found if not _UNDERLINE.search(line)]
    return tuple(faults) if found else (f"git log --check {said.why}",)


def _tested(request: Request, commits: Commits) -> Check:
    """Whether `make series-check` has seen every patch build, boot and pass its tests."""
    asked = prefixes.Request(kernel_src=request.kernel_src, build=request.build)
    trees = tree.Trees(commits.state, commits.repo, commits.repo, developed=False)
    checker = prefixes.Checker(asked, trees, None)
    missing = [each for each in checker.prefixes if not checker.well(each)]
    return Check(
        "series-check",
        tuple(f"not seen to build and boot: {each}" for each in missing),
        f"make series-check PATCHES={_ranges([each.number for each in missing])}",
        f"{len(checker.prefixes)} patches build, boot and pass their tests, each on the last",
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as `make series-check` takes them: 1-5,7."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, each)) for each in ranges)


def show(checks: Sequence[Check]) -> None:
    """The table."""
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "verdict", "what, and the way out"):
        table.add_column(column, overflow="fold")
    for each in checks:
        many = f" ({len(each.faults)} faults)" if len(each.faults) > 1 else ""
        said = each.way_out + many if each.faults else each.note
        table.add_row(each.name, f"[{_COLOURS[each.verdict]}]{each.verdict}[/]", _plain(said))
    console.print(table)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _settle(
    request: Request,
    commits: Commits,
    made: Submission,
    checks: Sequence[Check],
    *,
    ready: bool,
) -> Path:
    """Write down what was checked, and put a submission that is ready in its place.

    Raises:
        UsageError: another one of this version has been sent.
    """
    memory = {
        "version": request.version,
        "id": made.messages[0].msg_id.strip("<>"),
        "first": commits.first,
        "head": commits.head,
        "checks": {each.name: each.verdict for each in checks},
        "faults": {each.name: each.faults for each in checks if each.faults},
    }
    (made.folder / MEMORY).write_text(json.dumps(memory, indent=2) + "\n", encoding="utf-8")
    if not ready:
        return made.folder
    place = request.outgoing(request.version)
    sent = (place / SENT).is_file()
    if sent and (place / made.mbox.name).read_bytes() != made.mbox.read_bytes():
        raise UsageError(
            f"{place} has been sent, and is another one: what is new is VERSION="
            f"{request.version + 1}."
        )
    if sent:
        shutil.copy2(place / SENT, made.folder / SENT)
    shutil.rmtree(place, ignore_errors=True)
    made.folder.rename(place)
    return place


def _send(request: Request, made: Submission, folder: Path, what: str) -> None:
    """Ask, and send.

    Raises:
        UsageError: there is nobody to ask, or they said no, or it has been sent before.
    """
    if (folder / SENT).is_file():
        raise UsageError(f"{folder} has been sent before.")
    if not sys.stdin.isatty():
        raise UsageError("SEND=1 asks before it sends: say it at a terminal.")
    wanted = f"send v{request.version}"
    if input(f"{what}. Type '{wanted}' to send them: ").strip() != wanted:
        raise UsageError("nothing was sent.")
    tools.send(request.root, made.submitter, [folder / message.name for message in made.messages])
    (folder / SENT).touch()
