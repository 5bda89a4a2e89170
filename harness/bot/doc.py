"""`python3 -m harness.bot.doc`: docs/BOT.md, from a real series that the bot takes now.

The series is made up here: one patch, which adds a line to a comment of the product.
"""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from harness import proc
from harness.errors import BuildError, InfraError
from harness.kernel import kmake
from harness.model import ROOT
from harness.progress import say
from harness.trees import tree
from harness.trees.git import Repo

PAGE = ROOT / "docs/BOT.md"
_FILE = "security/bpf/setup.c"
_COMMENT = " * BPF LSM - Registration\n"
_MESSAGE = """\
bpf, lsm: Say where registration ends

What comes after it is in hook.c; say so.

Signed-off-by: Ada Author <ada@example.org>
"""
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Ada Author",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Author",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}
_TIMEOUT = 7200.0
_TEXT = """\
# A series, from a stranger's mail to an answer

Made by `python3 -m harness.bot.doc`: a series of one patch is laid on ours, built, booted and
tested, all in the sandbox, with what `make kernel` had left as a start. It took {seconds:.0f} s
here, on {cpus} CPUs of {machine}, which had a load of {load:.1f} when it began.

## What was sent

{mail}

## What was seen

{transcript}

## What was answered

{report}
"""


def mails(sources: Repo, commit: str, scratch: Path) -> bytes:
    """A cover letter and one patch on top of `commit`.

    Raises:
        BuildError: the file that it changes is not as it was.
    """
    clone = Repo(scratch / "clone")
    sources.run("clone", "--quiet", "--shared", "--no-checkout", sources.path, clone.path)
    clone.run("read-tree", commit)
    clone.run("update-ref", "--no-deref", "HEAD", commit)
    text = clone.out("show", f"{commit}:{_FILE}") + "\n"
    if _COMMENT not in text:
        raise BuildError(f"{_FILE}: there is no {_COMMENT.strip()!r} in it any more.")
    place = clone.path / _FILE
    place.parent.mkdir(parents=True)
    place.write_text(text.replace(_COMMENT, f"{_COMMENT} *\n * What is attached: see hook.c.\n"))
    clone.run("update-index", _FILE)
    clone.run("commit", "--quiet", "--message", _MESSAGE, env=_AUTHOR)
    form = ("--stdout", "--cover-letter", "--thread=shallow", "--no-signature")
    to = ("--to=bpf@example.org", "--subject-prefix=PATCH bpf-next")
    said = clone.out("format-patch", *form, *to, f"{commit}..HEAD", env=_AUTHOR)
    said = said.replace("*** SUBJECT HERE ***", "bpf, lsm: Say what is where")
    return said.replace("*** BLURB HERE ***", "For whoever reads one file alone.").encode() + b"\n"


def fenced(text: str) -> str:
    """A block of text as it is."""
    return "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())


def main() -> int:
    """Run the bot and write the page. Returns the bot's exit status."""
    sources = Repo(ROOT / "build/tree")
    state = tree.load(sources)
    if state is None:
        raise BuildError("there is no kernel yet: run 'make kernel' first.")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = mails(sources, state.applied, scratch)
        load, started = os.getloadavg()[0], time.monotonic()
        (scratch / "series.mbox").write_bytes(data)
        words = ("./run_tests.py", "--mbox", "series.mbox", "--on", "krsi", "--output", "answer")
        full: list[str | Path] = [sys.executable, ROOT / "run_tests.py", "--on", "krsi"]
        full += ["--mbox", scratch / "series.mbox", "--output", scratch / "answer"]
        say("the bot takes a series; that takes some minutes")
        done = proc.run(full, cwd=ROOT, timeout=_TIMEOUT, check=None)
        seconds = time.monotonic() - started
        report = scratch / "answer/report.txt"
        if not report.is_file():
            raise InfraError(f"there is no answer: {done.why}")
        answer = report.read_text("utf-8")
    said = f"# {' '.join(words)}; echo $?\n{done.stdout}{done.stderr}{done.returncode}"
    page = _TEXT.format(
        seconds=seconds,
        cpus=len(os.sched_getaffinity(0)),
        machine=platform.machine(),
        load=load,
        mail=fenced(data.decode()),
        transcript=fenced(said.replace(f"{scratch}/", "")),
        report=fenced(answer.replace(f"{scratch}/", "")),
    )
    kmake.replace(PAGE, page.encode())
    say(f"{PAGE.relative_to(ROOT)}: written; the bot's exit status was {done.returncode}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
