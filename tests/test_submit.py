"""`make submit`, with real git, git send-email and b4, on a tiny kernel."""

import dataclasses
import json
import mailbox
import re
import sys
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from fakes import DEVELOPER, FILES, Project, fake_tool, git, write_tree
from harness import cli, packages, proc
from harness.checks import prefixes
from harness.checks.prefix import Result
from harness.errors import UsageError
from harness.kernel import build
from harness.submit import run as submit
from harness.submit import tools
from harness.submit.compose import Request
from harness.submit.message import Message
from harness.trees import export, tree
from harness.trees.git import Repo

#: Names a maintainer and a list for all, one more for the verifier, nobody for secret files.
GET_MAINTAINER = """\
my $patch = do { local $/; open(my $f, '<', $ARGV[-1]) or die; <$f> };
exit 0 if $patch =~ /secret/;
print "linux-kernel\\@example.org (open list)\\n";
print "\\"Ma\\xc3\\xafa Q. Tainer\\" <maia\\@example.org> (maintainer:SECURITY)\\n";
print "Bo <bo\\@example.org> (reviewer:SECURITY)\\n";
print "Bo <bo\\@example.org> (supporter:SELFTESTS)\\n" if $patch =~ /selftests/;
"""
CHECKPATCH = """\
my $file = $ARGV[-1];
my $patch = do { local $/; open(my $f, '<', $file) or die; <$f> };
print "$file:1: WARNING:MISSING_SIGN_OFF: no sign-off\\n" unless $patch =~ /^Signed-off-by: /m;
print "$file:2: WARNING:UGLY: it is ugly\\n" if $patch =~ /^\\+ugly/m;
exit($patch =~ /^\\+ugly/m ? 1 : 0);
"""
COVER = "KRSI: Ours — at last\n\nA text,\nfrom one who was there.\n"
ADA = "[user]\nname = Ada Developer\nemail = ada@example.org\n"
CHECKS = (
    *("base", "cover letter", "changelog", "thread", "subjects", "sign-off", "recipients"),
    *("checkpatch", "whitespace", "series-check", "links", "send-email", "b4"),
)
EVERYTHING_WELL = dict.fromkeys(CHECKS, "ok")

if packages.lacking(packages.SUBMIT):
    pytest.skip("git-email is not installed; `make check` does it", allow_module_level=True)


@pytest.fixture
def ready(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with three exported patches by Ada, who submits."""
    monkeypatch.setattr(packages, "ensure", lambda *_: None)
    monkeypatch.setattr(build, "toolchain", dict)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    identify(project, monkeypatch, ADA)
    scripts = {"scripts/get_maintainer.pl": GET_MAINTAINER, "scripts/checkpatch.pl": CHECKPATCH}
    write_tree(project.src, {**FILES, **scripts})
    write_tree(
        project.root,
        {
            "policy/submit.toml": 'prefix = "PATCH bpf-next"\nto = ["bpf@example.org"]\n',
            "kernel-patches/cover-letter.txt": COVER,
        },
    )
    project.develop()
    export_and_test(project)
    return project


def identify(project: Project, monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    write_tree(project.root, {"home/.gitconfig": config})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(project.root / "home/.gitconfig"))


def export_and_test(project: Project) -> None:
    """`make patches`, and what `make series-check` leaves when every patch is well."""
    export.patches(project.repo, project.patches, project.root)
    state = tree.load(project.repo)
    assert state
    request = prefixes.Request(build=project.build)
    trees = tree.Trees(state, project.repo, project.repo, developed=False)
    checker = prefixes.Checker(request, trees, None)
    seen = {
        checker.key(each): Result(each.number, each.subject, each.commit)
        for each in checker.prefixes
    }
    prefixes._save(request.results, seen)


def run(project: Project, **asked: object) -> dict[str, str]:
    """Submit it, and what the checks said; the last word is in the folder of the mails."""
    request = dataclasses.replace(Request(root=project.root), **asked)  # type: ignore[arg-type]
    ready = submit.run(request)
    folder = request.outgoing(request.version)
    folder = folder if ready else folder.with_name(folder.name + ".draft")
    said: dict[str, str] = json.loads((folder / "submission.json").read_text())["checks"]
    return said


def failed(said: dict[str, str]) -> list[str]:
    return [name for name, verdict in said.items() if verdict == "FAILED"]


def mails(project: Project, version: int = 1) -> list[mailbox.mboxMessage]:
    return list(mailbox.mbox(project.build / f"outgoing/v{version}/series.mbox"))


def body(mail: mailbox.mboxMessage) -> str:
    said = mail.get_payload(decode=True)
    assert isinstance(said, bytes)
    return said.decode()


def commits(repo: Repo, span: str) -> list[str]:
    return repo.out("log", "--reverse", "--format=%T %an <%ae> %s", span).splitlines()


def test_a_series_that_is_ready(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ready) == EVERYTHING_WELL
    cover, *patches = mails(ready)
    assert [str(mail["Subject"]) for mail in patches[:2]] == [
        "[PATCH bpf-next 1/3] bpf: Remove the old LSM",
        "[PATCH bpf-next 2/3] bpf, lsm: Build it anew",
    ]
    text = body(cover)
    assert "A text,\nfrom one who was there.\n\nAda Developer (3):\n" in text
    assert " 3 files changed" in text
    state = tree.load(ready.repo)
    assert state
    assert text.rstrip().endswith(f"\nbase-commit: {state.base}")
    assert {str(mail["In-Reply-To"]) for mail in patches} == {str(cover["Message-ID"])}
    assert len({str(mail["Message-ID"]) for mail in (cover, *patches)}) == 4
    for mail in patches:
        said = body(mail)
        assert "\nSigned-off-by: Ada Developer <ada@example.org>\n---\n" in said

    # To: who can apply it and lists, Cc: the others; the cover letter goes to all of them.
    lists = ["bpf@example.org", "linux-kernel@example.org"]
    assert people(patches[0], "To") == ["Maïa Q. Tainer <maia@example.org>", *lists]
    assert people(patches[0], "Cc") == ["Bo <bo@example.org>"]
    assert "Bo <bo@example.org>" in people(patches[2], "To")
    assert "Bo <bo@example.org>" in people(cover, "To")
    assert cover["Cc"] is None
    printed = capsys.readouterr().out
    assert "submit: 4 mails to 4 addresses are ready in " in printed


def people(mail: mailbox.mboxMessage, name: str) -> list[str]:
    said = str(make_header(decode_header(str(mail[name]))))
    return [" ".join(part.split()) for part in said.split(",")]


def test_a_maintainer_gets_the_same_commits(ready: Project) -> None:
    """Not by our own check: `git am` of what b4 makes, in a clone, as a maintainer does it."""
    run(ready)
    clone = ready.root / "clone"
    proc.run(["git", "clone", "--quiet", ready.repo.path, clone])
    git(clone, "checkout", "--quiet", "-b", "review", "origin/krsi~3")
    words = ["--offline-mode", "am", "-C", "-T", "-n", "x", "-o", str(ready.root), "-m"]
    home = {"HOME": str(ready.root / "home")}
    proc.run(
        [f"{sys.prefix}/bin/b4", *words, ready.build / "outgoing/v1/series.mbox"],
        cwd=clone,
        env=home,
    )
    git(clone, "am", "--quiet", str(ready.root / "x.mbx"))
    assert commits(Repo(clone), "origin/krsi~3..HEAD") == commits(ready.repo, "base..HEAD")
    signed = "Signed-off-by: Ada Developer <ada@example.org>"
    said = git(clone, "log", "-1", "--format=%B")
    assert said == f"selftests/bpf: Test — it\n\nBecause.\n\n{signed}"


def test_the_same_input_gives_the_same_bytes(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (ready.build / "outgoing/v1").iterdir()}

    run(ready)
    first = everything()
    run(ready)
    assert everything() == first
    run(ready, epoch=1_700_000_000)
    assert mails(ready)[0]["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert mails(ready)[3]["Date"] == "Tue, 14 Nov 2023 22:13:23 +0000"
    assert everything()["series.mbox"] != first["series.mbox"]
    # An id is of what is said, too: nobody mistakes another text of the same day for this one.
    before = mails(ready)[0]["Message-ID"]
    write_tree(ready.root, {"kernel-patches/cover-letter.txt": COVER + "\nAnd more.\n"})
    run(ready, epoch=1_700_000_000)
    assert mails(ready)[0]["Message-ID"] != before
    seen: list[Request] = []

    def submitted(request: Request) -> bool:
        seen.append(request)
        return True

    monkeypatch.setattr("harness.submit.cli.run", submitted)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert cli.main(["submit", "--to", "a@example.org, b@example.org"]) == 0
    assert (seen[0].epoch, seen[0].to) == (1_700_000_000, ("a@example.org", "b@example.org"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    assert cli.main(["submit"]) == 2


def test_the_second_version(ready: Project) -> None:
    run(ready)
    first = mails(ready)[0]["Message-ID"].strip("<>")
    ready.commit("bpf: Add more", {"security/bpf/more.c": "more\n"})
    ready.commit("fixup! bpf, lsm: Build it anew", {"security/bpf/hooks.c": "better hooks\n"})
    env = {**DEVELOPER, "GIT_SEQUENCE_EDITOR": "true"}
    proc.run(["git", "rebase", "-i", "--autosquash", "base"], cwd=ready.repo.path, env=env)
    export_and_test(ready)

    # What has changed must be said.
    assert failed(run(ready, version=2)) == ["changelog"]
    assert not (ready.build / "outgoing/v2").exists()
    write_tree(ready.root, {"kernel-patches/changelog.txt": "# By hand.\nv2:\n - Better hooks.\n"})
    assert run(ready, version=2) == EVERYTHING_WELL
    cover, *patches = mails(ready, 2)
    assert patches[3]["Subject"] == "[PATCH bpf-next v2 4/4] bpf: Add more"
    text = body(cover)
    link = f"v1: https://lore.kernel.org/r/{first}"
    begin = text.index(f"\n\nChanges in v2:\n - Better hooks.\n\n{link}\n")
    middle = text.index("\n\nRange-diff against v1:\n1:  ")
    end = text.index("\n\nAda Developer (4):\n")
    assert begin < middle < end
    said = text[middle:end]
    signs = re.findall(r"^(?:\d|-): +\S+ ([=!<>]) +(?:\d|-): +\S+ (.+)$", said, re.MULTILINE)
    assert signs == [
        ("=", "bpf: Remove the old LSM"),
        ("!", "bpf, lsm: Build it anew"),
        ("=", "selftests/bpf: Test — it"),
        (">", "bpf: Add more"),
    ]
    assert "\n    -+new hooks\n    ++better hooks\n" in said


def test_a_second_version_needs_the_first(ready: Project) -> None:
    with pytest.raises(UsageError, match="v1 has no mails to compare with: `make submit VERSION=1"):
        run(ready, version=2)


@pytest.mark.parametrize("config", ["", "name = Ada Developer\n", "email = ada@example.org\n"])
def test_no_identity_no_sign_off(
    ready: Project, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    for name in ("EMAIL", *DEVELOPER):
        monkeypatch.delenv(name, raising=False)
    identify(ready, monkeypatch, f"[user]\n{config}")
    with pytest.raises(UsageError, match=r"git config --global user\.email you@example\.org"):
        run(ready)
    assert not (ready.build / "outgoing").exists()


def test_nobody_is_signed_off_but_the_submitter(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify(ready, monkeypatch, "[user]\nname = Bob\nemail = bob@example.org\n")
    assert failed(run(ready)) == ["sign-off"]
    patch = next((ready.build / "outgoing/v1.draft").glob("0002-*")).read_text(encoding="utf-8")
    assert "\nFrom: Bob <bob@example.org>\n" in patch
    assert "\n\nFrom: Ada Developer <ada@example.org>\n\n" in patch
    assert "Signed-off-by: Ada" not in patch


FAULTS = {
    "checkpatch": ("bpf: Add it", "Because.", {"security/bpf/x.c": "ugly\n"}),
    "whitespace": ("bpf: Add it", "Because.", {"security/bpf/x.c": "blank \n"}),
    "subjects": ("fixup! bpf, lsm: Build it anew", "Because.", {"security/bpf/x.c": "x\n"}),
    "recipients": ("bpf: Add it", "Because.", {"secret.c": "x\n"}),
    "links": (
        "bpf: Add it",
        "Because.\n\nLink: https://lore.kernel.org/r/nobody/",
        {"security/bpf/x.c": "x\n"},
    ),
    "thread": ("bpf: Add it", "From here\n\nFrom there", {"security/bpf/x.c": "x\n"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_bot_would_complain_of(
    ready: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, body, files = FAULTS[name]
    ready.commit(subject, dict(files), body)
    export_and_test(ready)
    said = run(ready)
    assert name in failed(said)
    if name != "thread":  # which nobody can take apart
        assert failed(said) == [name]
    printed = capsys.readouterr().out
    assert f"{name}: " in printed
    assert "submit: NOT ready; the draft is in " in printed
    assert not (ready.build / "outgoing/v1").exists()


def test_patches_that_nobody_has_booted(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    ready.commit("bpf: Add it", {"security/bpf/x.c": "x\n"})
    export.patches(ready.repo, ready.patches, ready.root)
    assert failed(run(ready)) == ["series-check"]
    printed = capsys.readouterr().out
    assert "make series-check PATCHES=4" in printed
    assert "series-check: not seen to build and boot:   4 bpf: Add it" in printed
    assert run(ready, allow=frozenset({"series-check"}))["series-check"] == "allowed"
    with pytest.raises(UsageError, match="there is no check 'serie'"):
        run(ready, allow=frozenset({"serie"}))


def test_prerequisites_are_named_not_sent(ready: Project) -> None:
    assert run(ready, prerequisites=1) == EVERYTHING_WELL
    cover, *patches = mails(ready)
    assert len(patches) == 2
    shown = ready.repo.run("show", "HEAD~2").stdout
    wanted = ready.repo.run("patch-id", "--stable", stdin=shown).stdout.split()[0]
    text = body(cover)
    assert text.rstrip().endswith(f"\nprerequisite-patch-id: {wanted}")
    with pytest.raises(UsageError, match="there is nothing to submit: 3 patches, 3 of them"):
        run(ready, prerequisites=3)


def test_a_base_that_others_have(ready: Project) -> None:
    git(ready.src, "init", "--quiet", "-b", "main")
    git(ready.src, "add", "--all", "--force")
    git(ready.src, "commit", "--quiet", "-m", "Linux 6.12.7")
    with pytest.raises(UsageError, match="build/tree does not stand on KERNEL_SRC="):
        run(ready, kernel_src=str(ready.src))
    # Taken in, it is the same base by another name.
    ready.prepare()
    assert run(ready, kernel_src=str(ready.src))["base"] == "ok"
    text = body(mails(ready)[0])
    assert text.rstrip().endswith(f"\nbase-commit: {git(ready.src, 'rev-parse', 'HEAD')}")


def test_what_is_not_exported_is_not_submitted(ready: Project) -> None:
    ready.commit("bpf: Add it", {"security/bpf/x.c": "x\n"})
    with pytest.raises(UsageError, match="build/tree and kernel-patches/ differ: `make patches`"):
        run(ready)


def test_nothing_is_sent_unless_somebody_says_so(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = ready.root / "sent"
    sendmail = fake_tool(ready.root / "bin", "sendmail", f"echo x >>{box}; cat >>{box}.mails")
    identify(ready, monkeypatch, f"{ADA}[sendemail]\nsmtpServer = {sendmail}\n")
    run(ready)
    assert not box.exists()
    with pytest.raises(UsageError, match="say it at a terminal"):
        run(ready, send=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(UsageError, match="nothing was sent"):
        run(ready, send=True)
    assert not box.exists()
    monkeypatch.setattr("builtins.input", lambda _: "send v1")
    run(ready, send=True)
    assert box.read_text().splitlines() == ["x"] * 4
    assert box.with_name("sent.mails").read_text().count("\nMessage-Id: <") == 4
    with pytest.raises(UsageError, match="has been sent before"):
        run(ready, send=True)
    # Once sent, a version stays what it is.
    write_tree(ready.root, {"kernel-patches/cover-letter.txt": COVER + "\nAnd more.\n"})
    with pytest.raises(UsageError, match=r"has been sent, and is another one.* VERSION=2"):
        run(ready)


def test_send_email_that_drops_somebody_is_seen(ready: Project, tmp_path: Path) -> None:
    made = Request(root=ready.root)
    run(ready)
    folder = made.outgoing(1)
    messages = [
        Message.parse(path.name, path.read_bytes()) for path in sorted(folder.glob("*.patch"))
    ]
    files = [tmp_path / f"{number}.patch" for number in range(4)]
    for path, message in zip(files, messages, strict=True):
        path.write_bytes(message.render())
    assert tools.would_send(ready.repo, messages, files) == ()
    text = files[2].read_text(encoding="utf-8").replace("Cc: Bo <bo@example.org>\n", "")
    files[2].write_text(text, encoding="utf-8")
    (fault,) = tools.would_send(ready.repo, messages, files)
    assert fault.startswith("0002-bpf-lsm-Build-it-anew.patch: git send-email makes another")


def test_b4_that_gives_other_commits_is_seen(ready: Project, tmp_path: Path) -> None:
    run(ready)
    path = Request(root=ready.root).outgoing(1) / "series.mbox"
    ends = (ready.repo.out("rev-parse", "base"), ready.repo.head)
    ada = tools.identity(ready.root)
    other = tmp_path / "other.mbox"
    for old, new, fault in (
        ("\n+new hooks\n", "\n+old hooks\n", "another files"),
        ("\nBecause.\n", "\nFor no reason.\n", "another text"),
        ("] bpf, lsm: Build", "] bpf, lsm: Tear", "another subject"),
    ):
        other.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        found = tools.round_trip(ready.repo, other, ends, ada)
        assert any(fault in line for line in found), found
