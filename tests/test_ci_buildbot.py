"""ci/, with a real Buildbot: a master and two workers on the loopback, and a mail server.

The project that they test is a small one whose commands are called like ours and leave what ours
leave. Ports are the kernel's choice, and read from who has got them.
"""

import email
import email.message
import json
import queue
import re
import shutil
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes import fake_tool, git, write_tree
from harness import proc
from harness.model import ROOT
from krsi_ci import maildir, mails, threads
from krsi_ci.settings import Maildir, SettingsError, load, parse

#: Seconds that one thing may take; the machine may be busy with kernels.
PATIENCE = 100.0
MAKEFILE = """\
check:
\ttrue
kernel:
\tmkdir -p build/krsi/bin build/krsi/kernel/arch/x86/boot
\techo "$(CURDIR)" >build/krsi/manifest.json
\tcp version build/krsi/kernel/vmlinux
\tcp version build/krsi/kernel/arch/x86/boot/bzImage
"""
RUN_TESTS = """\
import json, pathlib, sys
kernel = pathlib.Path("build/krsi")
if sys.argv[1] == "--shard":
    shard = sys.argv[2]
    number = shard.split("/")[0]
    failed = pathlib.Path("fails").read_text().split()
    report = pathlib.Path("build/reports/2026")
    report.mkdir(parents=True)
    report.with_name("latest").symlink_to(report.name)
    (report / "results.json").write_text(json.dumps({
        "shard": shard,
        "where": str(pathlib.Path.cwd()),
        "built": (kernel / "manifest.json").read_text().strip(),
        "vmlinux": (kernel / "kernel/vmlinux").read_text(),
        "module": (kernel / "bin/bpf_testmod.ko").read_text(),
    }))
    sys.exit(number in failed)
if sys.argv[1] == "--mbox":
    words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    answer = pathlib.Path(words["--output"])
    answer.mkdir(parents=True)
    mails = pathlib.Path(words["--mbox"]).read_text().count("Message-ID: ")
    report = f"From: bot\\nSubject: Re: the series\\n\\n{mails} mails on {words['--on']}.\\n"
    (answer / "report.txt").write_text(report)
    sys.exit(0)
(kernel / "bin/bpf_testmod.ko").write_text(" ".join(sys.argv[1:]))
"""
HARNESS = """\
import json, pathlib, sys
assert sys.argv[1:3] == ["report", "merge"] and sys.argv[-2] == "--output", sys.argv
merged = pathlib.Path(sys.argv[-1])
merged.mkdir(parents=True)
parts = [json.loads((pathlib.Path(each) / "results.json").read_text()) for each in sys.argv[3:-2]]
(merged / "results.json").write_text(json.dumps(parts))
print(f"{len(parts)} shards")
"""
SETTINGS = """\
[project]
repository = "{root}/project.git"
poll = 2
[master]
listen = "tcp:0:interface=127.0.0.1"
[[workers]]
name = "one"
password = "secret 1"
[[workers]]
name = "two"
password = "secret 2"
[mail]
sender = "krsi@example.org"
to = ["results@example.org"]
server = "127.0.0.1"
port = {port}
[maildir]
path = "{root}/maildir"
poll = 1
[tests]
smoke = "lsm_attach"
"""


class Smtp(socketserver.StreamRequestHandler):
    """As much of a mail server as it takes to get a mail."""

    def handle(self) -> None:
        def say(line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        say("220 ready")
        to: list[str] = []
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].split()[0].upper()
            if verb == "QUIT":
                say("221 bye")
                return
            if verb == "RCPT":
                to.append(line)
            if verb != "DATA":
                say("250 fine")
                continue
            say("354 go on")
            lines = []
            while (part := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(part)
            mail = email.message_from_bytes(b"".join(lines))
            mail["X-To"] = " ".join(to)
            self.server.mails.put(mail)  # type: ignore[attr-defined]
            say("250 taken")


@dataclass
class Plant:
    """A master, two workers, a project and a mail server."""

    root: Path
    mails: "queue.Queue[email.message.Message]" = field(default_factory=queue.Queue)

    @property
    def master(self) -> Path:
        return self.root / "master"

    def push(self, **files: str) -> None:
        """Push a commit."""
        write_tree(self.root / "work", files)
        git(self.root / "work", "add", "--all")
        git(self.root / "work", "commit", "--quiet", "-m", "more")
        git(self.root / "work", "push", "--quiet", "origin", "main")

    def deliver(self, name: str, *lines: str) -> None:
        """Put a mail into the maildir, as a mail server does it."""
        path = self.root / "maildir/tmp" / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.rename(self.root / "maildir/new" / name)

    def mail(self) -> email.message.Message:
        """The next mail that is sent."""
        try:
            return self.mails.get(timeout=PATIENCE)
        except queue.Empty:
            log = (self.master / "twistd.log").read_text(encoding="utf-8")
            pytest.fail(f"no mail came; the master's log ends:\n{log[-6000:]}")

    def report(self, name: str) -> Path:
        return self.master / "reports" / name


def text(mail: email.message.Message) -> str:
    said = mail.get_payload(decode=True)
    assert isinstance(said, bytes), mail.as_string()[:2000]
    return said.decode().replace("\r\n", "\n")


def wait(what: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() >= deadline or "Server Shut Down" in said(log):
            pytest.fail(f"it did not come; {log} ends:\n{said(log)[-4000:]}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Everything is up, both workers are there, and the branch was seen as it is."""
    made = Plant(tmp_path_factory.mktemp("plant"))
    root, log = made.root, made.master / "twistd.log"
    for name in ("tmp", "new", "cur"):
        (root / "maildir" / name).mkdir(parents=True)
    git(root, "init", "--quiet", "--bare", "-b", "main", "project.git")
    git(root, "clone", "--quiet", "project.git", "work")
    git(root / "work", "checkout", "--quiet", "-b", "main")
    fake_tool(root / "work", "run_tests.py", "")
    (root / "work/run_tests.py").write_text(f"#!/usr/bin/env python3\n{RUN_TESTS}")
    project = {"Makefile": MAKEFILE, "harness/__main__.py": HARNESS, ".gitignore": "build/\n"}
    made.push(**project, version="1\n", fails="\n")
    with ExitStack() as stack:
        server = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp))
        server.daemon_threads = True
        server.mails = made.mails  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        port = server.server_address[1]
        write_tree(root, {"krsi.toml": SETTINGS.format(root=root, port=port)})
        scripts = Path(sys.prefix, "bin")
        env = {"KRSI_CI": str(root / "krsi.toml"), "PATH": f"{scripts}:/usr/bin:/bin"}
        config = ROOT / "ci/master.cfg"
        proc.run([scripts / "buildbot", "create-master", "-q", "-c", config, made.master], env=env)
        start = ("twistd", "--nodaemon", "--no_save", "--pidfile=", "-y", "buildbot.tac")
        twistd: list[str | Path] = [scripts / start[0], *start[1:]]
        stack.enter_context(proc.spawn(twistd, cwd=made.master, env=env, log=root / "master.log"))
        found: list[str] = []

        def listening() -> object:
            found[:] = re.findall(r"PBServerFactory starting on (\d+)", said(log))
            return found

        wait(listening, log)
        for number, name in enumerate(("one", "two"), start=1):
            words = ("create-worker", "-q", root / name, f"127.0.0.1:{found[0]}", name)
            proc.run([scripts / "buildbot-worker", *words, f"secret {number}"])
            there = root / f"{name}.log"
            stack.enter_context(proc.spawn(twistd, cwd=root / name, env=env, log=there))
        wait(lambda: all(f"worker {name} " in said(log) for name in ("'one'", "'two'")), log)
        known = made.master / "gitpoller-work"
        wait(lambda: known.is_dir() and "main" in git(known, "for-each-ref"), log)
        yield made


def said(log: Path) -> str:
    return log.read_text(encoding="utf-8") if log.is_file() else ""


def test_a_push_is_built_once_and_tested_on_all_workers(plant: Plant) -> None:
    plant.push(version="2\n")
    mail = plant.mail()
    assert mail["Subject"] == "branch 1: success", text(mail)
    assert "RCPT TO:<results@example.org>" in mail["X-To"]
    assert text(mail).startswith("2 shards\n")
    parts = json.loads((plant.report("branch-1") / "results.json").read_text())
    assert [part["shard"] for part in parts] == ["1/2", "2/2"]
    workers = [part["where"].removeprefix(f"{plant.root}/").split("/")[0] for part in parts]
    assert sorted(workers) == ["one", "two"]
    # One kernel, of the commit that was pushed, with the module that the smoke test made.
    assert {part["vmlinux"] for part in parts} == {"2\n"}
    assert {part["module"] for part in parts} == {"lsm_attach"}
    assert len({part["built"] for part in parts}) == 1
    assert not list((plant.master / "handed-over").iterdir())


def test_a_shard_that_fails_makes_it_red(plant: Plant) -> None:
    plant.push(fails="2\n")
    mail = plant.mail()
    assert mail["Subject"] == "branch 2: failure", text(mail)
    said = text(mail)
    # Whatever the report says of it: a command that failed is enough.
    assert said.startswith("2 shards\n\nshards: failure\n")
    assert len(json.loads((plant.report("branch-2") / "results.json").read_text())) == 2


def test_a_shard_without_a_report_is_no_success(plant: Plant) -> None:
    broken = RUN_TESTS.replace("report.mkdir(parents=True)", "sys.exit(0)")
    plant.push(**{"run_tests.py": f"#!/usr/bin/env python3\n{broken}", "fails": "\n"})
    mail = plant.mail()
    assert mail["Subject"] == "branch 3: failure", text(mail)
    assert "\nmerge: failure\n    Traceback" in text(mail)
    assert "results.json" in text(mail)
    assert not (plant.report("branch-3") / "results.json").exists()
    for name in ("PATH=", "environment"):
        assert name not in text(mail)


def patch(number: int, *, root: str = "<0@example.org>") -> tuple[str, ...]:
    answers = (f"In-Reply-To: {root}",) if number else ()
    head = (
        f"Subject: [PATCH bpf-next v2 {number}/2] bpf: Do it",
        f"Message-ID: <{number}@example.org>",
    )
    return ("From: Ada <ada@example.org>", *head, *answers, "", "Because.")


def test_a_series_is_answered_when_it_is_complete(plant: Plant) -> None:
    plant.deliver("a", *patch(0))
    plant.deliver("c", *patch(2))
    plant.deliver("x", "From: Bo <bo@example.org>", "Subject: Re: lunch", "", "Yes!")
    # The mail that is no patch has been put aside, so the others were looked at and left there.
    wait((plant.root / "maildir/cur/x:2,S").exists, plant.master / "twistd.log")
    assert sorted(path.name for path in (plant.root / "maildir/new").iterdir()) == ["a", "c"]
    plant.deliver("b", *patch(1))
    mail = plant.mail()
    assert (mail["Subject"], mail["In-Reply-To"]) == ("Re: the series", "<0@example.org>")
    assert text(mail).startswith("3 mails on base.\n")
    assert mail["X-To"].count("RCPT TO") == 1
    (folder,) = plant.master.glob("reports/series-*")
    assert (folder / "report.txt").is_file()
    assert not list((plant.root / "maildir/new").iterdir())


def arrived(folder: Path, *mails: tuple[str, ...]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    write_tree(folder, {str(number): "\n".join(mail) for number, mail in enumerate(mails)})
    return folder


def test_what_a_series_is(tmp_path: Path) -> None:
    settings = Maildir(str(tmp_path), patience=60, limit=2000)
    new = arrived(tmp_path / "new", patch(1), patch(2))
    now = (new / "0").stat().st_mtime
    (series,), others = maildir.look(new, settings, now)
    assert (series.complete, len(series.patches), others) == (True, 2, [])
    assert series.mbox.count(b"From mboxrd") == 2

    # A part of one is waited for, and not for ever.
    new = arrived(tmp_path / "new", patch(0), patch(1))
    assert maildir.look(new, settings, now + 59) == ([], [])
    assert [each.root for each in maildir.look(new, settings, now + 999)[0]] == ["<0@example.org>"]

    # Two threads are two series; a single patch is one.
    alone = ("Subject: [PATCH] bpf: Do it", "Message-ID: <z@example.org>", "", "Because.")
    new = arrived(tmp_path / "new", alone, patch(1), patch(2))
    assert len(maildir.look(new, settings, now)[0]) == 2

    # What is too large, no file or no patch is put aside.
    large = (*patch(1, root="<l@example.org>"), "x" * 3000)
    answer = ("Subject: Re: [PATCH] bpf: Do it", "Message-ID: <r@example.org>", "", "No.")
    new = arrived(tmp_path / "new", large, answer, ("\0",))
    (new / "link").symlink_to("/etc/passwd")
    (new / "folder").mkdir()
    found, others = maildir.look(new, settings, now)
    assert (found, len(others)) == ([], 5)


def test_a_line_that_begins_with_from_ends_no_mail() -> None:
    parts = [
        threads.read(str(number), "\n".join((*patch(number), "From us")).encode())
        for number in (1, 2)
    ]
    (series,) = threads.sort(part for part in parts if part)
    assert series.mbox.count(b"\nFrom ") == 1
    assert series.mbox.count(b"\n>From us\n") == 2


def test_no_mail_breaks_the_master(tmp_path: Path) -> None:
    nested = "\n".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}" for n in range(3000)
    )
    mails = {
        "many": "Subject: [PATCH 1/2000000000] x\nMessage-ID: <m@example.org>\n\nx\n",
        "nested": f"Subject: [PATCH] x\nMessage-ID: <n@example.org>\n{nested}\n",
        "long": f"Subject: [PATCH {'PATCH ' * 1_000_000}\nMessage-ID: <l@example.org>\n\nx\n",
    }
    write_tree(tmp_path / "new", mails)
    found, others = maildir.look(tmp_path / "new", Maildir(str(tmp_path)), time.time())
    assert [(each.root, each.complete) for each in found] == [("<m@example.org>", True)]
    assert {path.name for path in others} == {"nested", "long"}


def test_a_mail_says_no_more_than_it_has_to() -> None:
    report = "From: bot\nSubject: Re: the\n series\n\nAll is well.\n"
    assert mails.subject(report, "the series", "series 1", "success") == "Re: the series"
    assert mails.subject("", "[PATCH] x", "series 1", "failure") == "Re: [PATCH] x: failure"
    assert mails.body(report, [], "success") == "All is well.\n\nsuccess\n"
    log = "hmake kernel\nh  PASSWORD=secret\no  CC a.o\nea.c:1: error\nhprogram finished"
    assert mails.quoted(log) == "      CC a.o\n    a.c:1: error"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[mail]", "[mails]", r"nobody knows \[mails\]"),
        ('sender = "krsi@example.org"\n', "", r"\[mail\] sender is missing"),
        ("poll = 2\n", 'poll = "2"\n', r"\[project\] poll cannot be '2'"),
        ('name = "two"', 'name = "one"', "the same name"),
        ("smoke =", "smoke", "krsi.toml: "),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, old: str, new: str, why: str) -> None:
    content = SETTINGS.format(root=tmp_path, port=25)
    assert old in content
    path = tmp_path / "krsi.toml"
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingsError, match=why):
        load(path)


def test_the_example_is_right() -> None:
    settings = load(ROOT / "ci/example.toml")
    assert [worker.name for worker in settings.workers] == ["one", "two"]
    with pytest.raises(SettingsError, match=r"no \[\[workers\]\]"):
        parse({"project": {"repository": "x"}})
