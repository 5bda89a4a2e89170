"""The bot's checks of a series on a kernel of a few lines; and series that mean harm."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot_fakes import FILES, MAKEFILE, Bench, unavailable
from fakes import write_tree
from harness.bot import manners, sandbox, workshop
from harness.bot.answer import Answer
from harness.bot.mail import Mail, parse
from harness.bot.manners import Touched
from harness.errors import InfraError
from harness.model import Status
from letters import ADA, DIFF, SIGNED, letter

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=f"no sandbox: {unavailable()}")
ONE = "int one(int unused)\n{\n\treturn 1;\n}\n"
MORE = "int more(void)\n{\n\treturn 3;\n}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.make(tmp_path)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds get a few seconds, and not much of the rest."""
    few = replace(workshop.COMPILE, seconds=6, processes=60, memory=300 << 20, spare=0)
    monkeypatch.setattr(workshop, "COMPILE", few)


def failed(answer: Answer) -> list[str]:
    return [f"{each.name} {each.patch}" for each in answer.bad]


def met(answer: Answer) -> set[str]:
    return {found.what for _, found in answer.limited}


def test_a_good_series_is_well_patch_by_patch(bench: Bench) -> None:
    bench.commit("kernel: More", {"kernel/one.c": ONE + MORE})
    bench.commit("doc: Say so", {"Documentation/index": "more text\n"})
    answer = bench.answer()
    assert failed(answer) == []
    assert [each.name for each in answer.missing] == ["tools", "boot", "tests"]
    assert answer.check("builds", 1).status is Status.PASS
    assert answer.check("builds", 2).status is Status.SKIP
    assert answer.exit_code == 1, "what was not looked at is no pass"


def test_sources_that_lie_where_they_are_seen_are_copied_all_the_same(bench: Bench) -> None:
    bench.commit("kernel: More", {"kernel/one.c": ONE + MORE})
    assert failed(replace(bench, variant="krsi").answer()) == []


@pytest.mark.parametrize(("variant", "kept"), [("upstream", False), ("krsi", True)])
def test_tools_of_other_sources_do_not_pass_for_the_bases_own(
    variant: str, *, kept: bool, bench: Bench
) -> None:
    """`make kernel` builds the tools of each variant from the product's tree."""
    bench = replace(bench, variant=variant)
    output = bench.build / variant
    made = [f"{name}/made" for name in ("bin", "bpftool", "libbpf", "selftests")]
    write_tree(output, dict.fromkeys([*made, "kernel/made"], ""))
    with bench.opened() as shop:
        shop.seed()
        seen = shop.sandbox.show(["find", ".", "-type", "f"], cwd=output).split()
    assert sorted(seen) == sorted(f"./{name}" for name in [*(made if kept else []), "kernel/made"])


def test_each_patch_is_built_not_only_the_last(bench: Bench) -> None:
    bench.commit("kernel: Break", {"kernel/one.c": ONE + "int broken\n"})
    bench.commit("kernel: Mend", {"kernel/one.c": ONE + MORE})
    answer = bench.answer()
    assert failed(answer) == ["builds 1"]
    assert "kernel/one.c" in answer.check("builds", 1).details[0]
    assert answer.exit_code == 3


def test_a_warning_is_a_fault_and_an_old_one_with_w_1_is_none(bench: Bench) -> None:
    new = "static int nobody(void)\n{\n\treturn 1;\n}\n"
    bench.commit("kernel: Warn with W=1 only", {"kernel/one.c": ONE + new})
    bench.commit(
        "kernel: Warn", {"kernel/two.c": '#warning "no"\nint two(void)\n{\n\treturn 2;\n}\n'}
    )
    answer = bench.answer()
    assert failed(answer) == ["warnings 1", "builds 2"]
    (line,) = answer.check("warnings", 1).details
    assert "nobody" in line
    assert "unused" not in line.replace("-Wunused-function", "").replace("defined but not used", "")


def test_a_file_that_the_warning_is_old_in_is_well(bench: Bench) -> None:
    bench.commit("kernel: Add a line above", {"kernel/one.c": "\n\n" + ONE + MORE})
    assert failed(bench.answer()) == []


def test_an_option_that_gets_lost_is_a_fault(bench: Bench) -> None:
    lost = MAKEFILE.replace(
        "olddefconfig:\n\t@:", "olddefconfig:\n\t@sed -i /CONFIG_A/d $(O)/.config"
    )
    bench.commit("kbuild: Lose", {"Makefile": lost})
    answer = bench.answer()
    assert failed(answer) == ["builds 1"]
    assert "CONFIG_A=y" in answer.check("builds", 1).details[0]


def test_style_and_sign_off_do_not_keep_it_from_being_built(bench: Bench) -> None:
    bench.commit("kernel: Unsigned", {"kernel/one.c": ONE + MORE}, signed=False)
    bench.commit(
        "kernel: Ugly", {"kernel/two.c": "/* BADSTYLE */\nint two(void)\n{\n\treturn 2;\n}\n"}
    )
    answer = bench.answer()
    assert failed(answer) == ["sign-off 1", "checkpatch 2"]
    assert answer.check("builds", 2).status is Status.PASS
    assert answer.exit_code == 1


def test_the_author_is_whom_git_commits_for(bench: Bench) -> None:
    bench.commit("kernel: More", {"kernel/one.c": ONE + MORE})
    cover, first = bench.mails()
    head, body = first.split(b"\n\n", 1)
    inside = b"Date: Mon, 30 Nov 2026 12:00:00 +0000\nFrom: Eve <eve@example.org>\n\n"
    answer = bench.answer([cover, head + b"\n\n" + inside + body])
    assert failed(answer) == ["sign-off 1"]
    assert "Eve" in answer.check("sign-off", 1).details[0]


def test_checkpatch_is_the_bases_own(bench: Bench) -> None:
    bench.commit("scripts: Be content", {"scripts/checkpatch.pl": "exit 0;\n"})
    bench.commit(
        "kernel: Ugly", {"kernel/two.c": "/* BADSTYLE */\nint two(void)\n{\n\treturn 2;\n}\n"}
    )
    assert failed(bench.answer()) == ["checkpatch 2"]


def test_a_patch_that_does_not_apply_is_named(bench: Bench) -> None:
    bench.commit("kernel: First", {"kernel/one.c": ONE + MORE})
    bench.commit("kernel: Second", {"kernel/one.c": ONE + MORE.replace("3", "4")})
    cover, first, second = bench.mails()
    answer = bench.answer([cover, first.replace(b"return 3", b"return 5"), second])
    assert failed(answer) == ["applies 2"]
    assert "patch failed: kernel/one.c" in answer.check("applies", 2).details[0]
    assert answer.exit_code == 3
    assert answer.check("builds", 1).status is Status.MISS


def test_a_mail_without_its_last_line_break_is_taken(bench: Bench) -> None:
    bench.commit("kernel: More", {"kernel/one.c": ONE + MORE})
    cover, first = bench.mails()
    diff = first[: first.index(b"\n-- \n")]
    assert failed(bench.answer([cover, diff])) == []


def test_a_series_with_a_gap_is_not_applied(bench: Bench) -> None:
    bench.commit("kernel: First", {"kernel/one.c": ONE + MORE})
    bench.commit("doc: Second", {"Documentation/index": "x\n"})
    cover, _, second = bench.mails()
    answer = bench.answer([cover, second])
    assert failed(answer) == ["complete 0"]
    assert answer.check("applies", 2).status is Status.MISS
    assert answer.exit_code == 1


def test_the_authors_text_arrives_whatever_its_lines_begin_with(bench: Bench) -> None:
    """A line that looks like the start of a mail does not make two of one."""
    text = "text\nFrom a@b Mon Sep 17 00:00:00 2001\n>From c\n"
    bench.commit("doc: From", {"Documentation/index": text})
    assert failed(bench.answer()) == []


def test_a_base_that_does_not_build_is_our_fault(bench: Bench, tmp_path: Path) -> None:
    bench.commit("doc: x", {"Documentation/index": "x\n"})
    (bench.build / "tree/kernel/one.c").write_text("broken\n", encoding="utf-8")
    assert failed(bench.answer()) == [], "what a developer has not committed is not the base"
    (tmp_path / "broken").mkdir()
    broken = Bench.make(tmp_path / "broken", {**FILES, "kernel/one.c": "broken\n"})
    broken.commit("doc: x", {"Documentation/index": "x\n"})
    with pytest.raises(InfraError, match="the base does not build"):
        broken.answer()


def _patch(path: str, *, extra: str = "", text: str = "x") -> str:
    return (
        f"diff --git a/{path} b/{path}\n{extra or 'new file mode 100644'}\n--- /dev/null\n"
        f"+++ b/{path}\n@@ -0,0 +1 @@\n+{text}\n"
    )


@pytest.mark.parametrize(
    ("diff", "fault"),
    [
        (_patch("../../escaped"), "leads out of the tree"),
        (_patch("/tmp/escaped"), "leads out of the tree"),
        (_patch("kernel/../../../escaped"), "leads out of the tree"),
        (_patch(".git/hooks/post-checkout"), "belongs to git"),
        (_patch("kernel/.GIT/config"), "belongs to git"),
        (_patch("link", extra="new file mode 120000", text="/etc/passwd"), "is a symbolic link"),
        (
            _patch("sub", extra="new file mode 160000", text=f"Subproject commit {'1' * 40}"),
            "submodule",
        ),
        ("--- a/kernel/one.c\n+++ ../escaped\n@@ -1 +1 @@\n-x\n+y\n", "leads out of the tree"),
        (
            "diff --git a/kernel/one.c b/../x\nrename from kernel/one.c\nrename to ../x\n",
            "leads out",
        ),
    ],
)
def test_a_patch_that_leads_out_is_never_applied(bench: Bench, diff: str, fault: str) -> None:
    answer = bench.answer([letter("[PATCH] x", body=SIGNED + diff)])
    assert failed(answer) == ["paths 1"]
    assert fault in answer.check("paths", 1).details[0]
    assert answer.check("applies", 1).status is Status.MISS
    assert list(bench.root.rglob("*escaped*")) == []


@pytest.mark.parametrize(
    "place", ["harness/proc.py", "kernel-patches/0001-x.patch", "run_tests.py"]
)
def test_a_hunk_into_our_files_is_seen_and_reaches_nothing(bench: Bench, place: str) -> None:
    bench.commit("x: Take over", {place: "print('owned')\n"})
    answer = bench.answer()
    assert failed(answer) == ["paths 1"]
    assert "at its top" in answer.check("paths", 1).details[0]
    assert not (bench.root / place).exists()


def test_git_sees_the_paths_that_our_reading_does_not(bench: Bench) -> None:
    """A name that is quoted with escapes is a link all the same."""
    quoted = 'diff --git "a/li\\156k" "b/li\\156k"\nnew file mode 120000\n--- /dev/null\n'
    hunk = "@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n"
    body = f'{SIGNED}{quoted}+++ "b/li\\156k"\n{hunk}'
    answer = bench.answer([letter("[PATCH] x", body=body)])
    assert failed(answer) == ["paths 1"]
    raw = ":000000 120000 0000000 1234567 A\tlink\n:160000 000000 1 2 D\tgone\n"
    assert manners.path_faults(manners.listed(raw)) == ("link: is a symbolic link",)
    assert manners.path_faults([Touched("kernel/x", "100644")], {"kernel"}) == ()


def test_two_patches_do_not_write_through_a_link(bench: Bench) -> None:
    outside = bench.root / "outside"
    outside.mkdir()
    link = _patch("kernel/l", extra="new file mode 120000", text=str(outside))
    mails = [
        letter("[PATCH 1/2] x", body=SIGNED + link + "\\ No newline at end of file\n"),
        letter("[PATCH 2/2] y", body=SIGNED + _patch("kernel/l/escaped")),
    ]
    assert failed(bench.answer(mails)) == ["paths 1"]
    with bench.opened() as shop:
        shop.seed()
        first, second = mails
        assert shop.apply(_mail(first))[0].faults == ()
        assert "beyond a symbolic link" in shop.apply(_mail(second))[0].faults[0]
    assert list(outside.iterdir()) == []


def _mail(raw: bytes) -> Mail:
    found = parse(raw)
    assert found is not None
    return found


HARM = {
    "runs for ever": ("while :; do sleep 1; done", "time"),
    "forks wildly": ("bash -c 'b() { b | b & }; b; sleep 100'", "processes"),
    "fills the disk": ("cat /dev/zero >$(O)/large", "disk"),
    "fills its log": ("cat /dev/zero | tr '\\0' x | fold", "disk"),
    "uses the network": ("bash -c 'echo >/dev/tcp/192.0.2.1/80'", "network"),
    "writes outside": ("echo >{outside}; echo >/usr/x", "files outside"),
    "writes into our sources": ("echo >{tree}; touch /usr/x", "files outside"),
    "poisons ccache": ("test -z '{ccache}' || touch {ccache}/x; touch /usr/x", "files outside"),
    "takes all memory": ("perl -e '$$x = \"a\" x (500 << 20)'", "memory"),
    "leaves somebody behind": ("setsid sleep 1000 & sleep 1000", "time"),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("harm", HARM)
def test_a_makefile_that_means_harm_is_stopped_and_it_is_said(bench: Bench, harm: str) -> None:
    script, what = HARM[harm]
    outside = bench.root / "outside"
    outside.write_text("as it was", encoding="utf-8")
    outside.chmod(0o666)
    ours = bench.build / "tree/kernel/one.c"
    before = ours.read_text("utf-8")
    ccache = workshop.ccache_folder()
    words = script.replace("{outside}", str(outside)).replace("{ccache}", str(ccache or ""))
    words = words.replace("{tree}", str(ours))
    head = "vmlinux bzImage: $(O)/kernel/one.o $(O)/kernel/two.o\n"
    bench.commit("kbuild: Do harm", {"Makefile": MAKEFILE.replace(head, f"{head}\t@{words}\n")})
    answer = bench.answer()
    assert failed(answer) == ["builds 1"]
    assert what in met(answer)
    assert answer.exit_code == 3
    assert outside.read_text("utf-8") == "as it was"
    assert ours.read_text("utf-8") == before
    assert not Path("/usr/x").exists()
    assert ccache is None or not (ccache / "x").exists()


@pytest.mark.usefixtures("hurried")
def test_a_build_that_hides_that_it_was_limited_has_failed_all_the_same(bench: Bench) -> None:
    head = "vmlinux bzImage: $(O)/kernel/one.o $(O)/kernel/two.o\n"
    hide = "\t@cat /dev/zero >$(O)/large || :\n"
    bench.commit("kbuild: Hide", {"Makefile": MAKEFILE.replace(head, head + hide)})
    answer = bench.answer()
    assert failed(answer) == ["builds 1"]
    assert "disk" in met(answer)


def test_a_warning_in_a_flood_is_no_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left out of an output may be what somebody wants to be left out."""
    monkeypatch.setattr(sandbox, "OUTPUT", 4000)
    head = "vmlinux bzImage: $(O)/kernel/one.o $(O)/kernel/two.o\n"
    flood = "\t@seq 1000; echo kernel/one.c:1:1: warning: no; seq 1000\n"
    bench.commit("kbuild: Flood", {"Makefile": MAKEFILE.replace(head, head + flood)})
    answer = bench.answer()
    assert failed(answer) == ["builds 1"]
    assert "too much" in answer.check("builds", 1).details[0]
    assert answer.exit_code == 3


def test_more_sources_than_a_command_line_holds_are_a_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "_MOST_NAMES", len("kernel/one.o"))
    bench.commit("kernel: Change one", {"kernel/one.c": ONE + MORE})
    bench.commit(
        "kernel: Change two",
        {"kernel/one.c": ONE, "kernel/two.c": ONE.replace("one", "two") + MORE},
    )
    answer = bench.answer()
    assert failed(answer) == ["builds 2"]
    assert "too many" in answer.check("builds", 2).details[0]


def test_who_signs_for_somebody_else_is_seen() -> None:
    other = parse(letter("[PATCH] x", sender="Eve <eve@example.org>"))
    inside = parse(
        letter("[PATCH] x", sender="Eve <eve@x.org>", body=f"From: {ADA}\n\n{SIGNED}{DIFF}")
    )
    assert other is not None
    assert inside is not None
    assert "eve@example.org" in manners.sign_off_faults(other)[0]
    assert manners.sign_off_faults(inside) == ()
    nobody = parse(letter("[PATCH] x", sender="nobody", body=f"{SIGNED}{DIFF}"))
    assert nobody is not None
    assert "has not signed it off" in manners.sign_off_faults(nobody)[0]
