"""What can be said of the series without running it; all is silent, or is said about the base, too.

Compilers, sparse and objtool work in builds of the matrix. The rest is asked here: Coccinelle's
rules, kernel-doc, sphinx, and how much of the stack our functions and the chains of programs take.
What a tool needs hours for is not asked again while what it reads stays the same.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path

from harness import packages, proc
from harness.checks import matrix
from harness.errors import BuildError, KrsiError, UsageError
from harness.kernel import build, complaints, fingerprint, kmake
from harness.kernel.complaints import Complaint
from harness.model import ROOT, VARIANTS
from harness.progress import say, watching
from harness.trees import series, source, tree
from harness.trees.git import Repo

#: Nothing of ours may take more of the stack in one function or chain, in bytes.
STACK_LIMIT = 512
#: As on the list of the matrix, and which tool it brings.
BUILDS = {
    "gcc, sparse": "krsi",
    "clang": "llvm",
    "objtool": "ibt",
}

_DEBIAN = "/usr/sbin:/usr/bin:/sbin:/bin"
_OURS = "security/bpf/"
_DOCS = "Documentation/"
_JIT = "arch/x86/net/bpf_jit_comp.c"
_CHAIN = "include/linux/bpf_chain.h"
_RULE_TIMEOUT = 3600.0
_DOCS_TIMEOUT = 1800.0
#: One file of a rule: some rules run away on the verifier.
_FILE_TIMEOUT = 60
_COCCI = re.compile(r"^(?P<path>[^\s:]+\.[ch]):\d+:\d+(?:-\d+)?: (?P<text>.+)$", re.MULTILINE)
#: A rule that calls OCaml, whose compiler nobody needs otherwise.
_OCAML = ":ocaml"
_RULE_OPTIONS = re.compile(r"^// Options: *(.*)$", re.MULTILINE)
_SPHINX = re.compile(
    r"^(?P<path>[^\s:]+):(?:\d+:)? (?P<text>(?:WARNING|ERROR|SEVERE): .+)$", re.MULTILINE
)
_KERNEL_DOC = re.compile(r"^(?P<path>[^\s:]+):\d+: (?P<text>(?:warning|error): .+)$", re.MULTILINE)
_USAGE = re.compile(
    r"^(?:\S+/)?(?P<file>[^/\s:]+):\d+:\d+:(?P<name>\S+)\t(?P<bytes>\d+)\t(?P<how>\S+)"
)
_COOKIE = re.compile(r"^#define BPF_CHAIN_CTX_COOKIE\s+\((-\d+)\)", re.MULTILINE)
#: How the JIT makes the frame of a chain; frame() says the same in Python.
_FRAME = (
    "	if (m->ret_size)\n		stack_size += 8;\n",
    "	stack_size += nr_regs * 8;\n",
    "	stack_size += -BPF_CHAIN_CTX_COOKIE * 8;\n",
    "	stack_size = round_up(stack_size, 16);\n",
    "	EMIT1(0x55);				/* push rbp */\n",
    "	EMIT4(0x48, 0x83, 0xEC, stack_size);	/* sub rsp, stack_size */\n",
)
_HOOKS = (
    "#define LSM_HOOK(RET, DEFAULT, NAME, ...) krsi_hook RET ; NAME ; __VA_ARGS__ ; krsi_end\n"
    "#include {header}\n"
)
_HOOK = re.compile(r"krsi_hook (.*?) ; (\w+) ; (.*?) ; krsi_end", re.DOTALL)


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        names: which checks; all when empty.
        kernel_src: KERNEL_SRC; None or empty for Debian's package.
        build: where everything is made.
    """

    names: tuple[str, ...] = ()
    kernel_src: str | None = None
    build: Path = ROOT / "build"


@dataclass
class Outcome:
    """What one check said.

    Attributes:
        name: which.
        faults: what is wrong, a line each.
        skipped: why it was not made; empty if it was.
        seconds: how long it took.
    """

    name: str
    faults: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0


class SkipError(Exception):
    """A check that cannot be made here, and why."""


@dataclass(frozen=True)
class Use:
    """What one function takes of the stack.

    Attributes:
        name: of the function, or of the hook.
        file: where it stands; empty for the chain of a hook.
        bytes: how much, without the return address.
        how: "static", or as the compiler says; "derived" for a chain.
    """

    name: str
    file: str
    bytes: int
    how: str


def parse(pattern: re.Pattern[str], text: str, roots: Iterable[str]) -> tuple[Complaint, ...]:
    """What a tool says, line by line, the path of a file cut to what it is in the kernel. Pure."""
    found = []
    prefixes = [f"{root.rstrip('/')}/" for root in roots]
    for match in pattern.finditer(text):
        path = match["path"]
        for prefix in prefixes:
            path = path.removeprefix(prefix)
        found.append(Complaint(path, match["text"], match[0]))
    return tuple(found)


def usage(text: str) -> tuple[Use, ...]:
    """The functions of a .su file, as gcc writes it with -fstack-usage. Pure."""
    return tuple(
        Use(match["name"], match["file"], int(match["bytes"]), match["how"])
        for match in map(_USAGE.match, text.splitlines())
        if match
    )


def frame(arguments: int, cookie: int, *, returns: bool) -> int:
    """What the code of a chain takes of the stack, as x86's chain_prologue() makes it. Pure.

    Args:
        arguments: how many registers the hook's arguments take, one each.
        cookie: BPF_CHAIN_CTX_COOKIE.
        returns: the hook returns something.
    """
    size = (8 if returns else 0) + 8 * arguments - 8 * cookie
    return 8 + (size + 15) // 16 * 16  # the saved rbp; aligned


def hooks(text: str) -> tuple[tuple[str, int, bool], ...]:
    """Name, number of arguments and whether it returns something, of each hook. Pure."""
    found = []
    for kind, name, arguments in _HOOK.findall(text):
        words = " ".join(arguments.split())
        count = 0 if words in ("", "void") else words.count(",") + 1
        found.append((name, count, kind.strip() != "void"))
    return tuple(found)


def table(uses: Sequence[Use], most: int) -> list[str]:
    """The largest first, no more than `most`. Pure."""
    ordered = sorted(uses, key=lambda use: (-use.bytes, use.name))
    return [f"{use.bytes:6} {use.name:<40} {use.file or use.how}" for use in ordered[:most]]


def run(request: Request) -> bool:
    """Make every check, say what is wrong, and return whether all is well.

    Raises:
        UsageError: there is no check of that name.
        InfraError: something the machine should have is missing, disk space included.
    """
    checks = _checks()
    for name in request.names:
        if name not in checks:
            raise UsageError(f"there is no check {name!r}; there are: {', '.join(checks)}.")
    needs = () if request.kernel_src else packages.BASE
    packages.ensure((*needs, *packages.KERNEL, *packages.STATIC), say)
    root = request.build / "static"
    with build.exclusive(request.build, "static.lock"):
        with build.exclusive(request.build, "sources.lock"):
            origin = source.locate(request.kernel_src)
            trees = tree.prepare(VARIANTS["krsi"], origin, say, build=request.build)
        job = Static(request, matrix.Sources(trees, origin, request.build), root)
        outcomes = []
        for name, check in checks.items():
            if request.names and name not in request.names:
                continue
            outcomes.append(_take(name, partial(check, job)))
            content = [asdict(outcome) for outcome in outcomes]
            kmake.replace(root / "static.json", (json.dumps(content, indent=2) + "\n").encode())
    failed = [outcome.name for outcome in outcomes if outcome.faults]
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    passed = len(outcomes) - len(failed) - skipped
    say(f"static: {passed} passed, {len(failed)} failed, {skipped} skipped")
    return not failed


def _take(name: str, check: Callable[[], Sequence[str]]) -> Outcome:
    outcome = Outcome(name)
    started = time.monotonic()
    try:
        outcome.faults += check()
    except SkipError as reason:
        outcome.skipped = str(reason)
    except KrsiError as error:
        outcome.faults.append(str(error))
    outcome.seconds = round(time.monotonic() - started, 1)
    result = "FAILED" if outcome.faults else "skipped" if outcome.skipped else "ok"
    say(f"{name:<20} {result:<8} {outcome.seconds:6.1f} s  {outcome.skipped}")
    for fault in outcome.faults:
        say("    " + fault.replace("\n", "\n    "))
    return outcome


def _checks() -> dict[str, Callable[["Static"], Sequence[str]]]:
    """Every check by its name, the quick ones first."""
    return {
        "kernel-doc": Static.kernel_doc,
        "sphinx": Static.sphinx,
        "stack": Static.stack,
        "smatch": Static.smatch,
        "coccinelle": Static.coccinelle,
        "coccinelle, touched": Static.coccinelle_touched,
        **{name: partial(Static.build_of_matrix, name=entry) for name, entry in BUILDS.items()},
    }


@dataclass(frozen=True)
class Static:
    """The checks.

    Attributes:
        sources: the series' tree and the base.
        root: where results go.
    """

    request: Request
    sources: matrix.Sources
    root: Path

    @property
    def repo(self) -> Repo:
        """The series' tree."""
        return self.sources.trees.kernel

    @cached_property
    def code(self) -> tuple[str, ...]:
        """The kernel's C files and headers that the series touches."""
        return tuple(
            path
            for path in self.sources.touched
            if path.endswith((".c", ".h")) and not path.startswith((*build.NOT_KERNEL, "tools/"))
        )

    @cached_property
    def created(self) -> tuple[str, ...]:
        """Those of them that the series creates."""
        known = series.created(self.repo, self.sources.trees.state.base, self.repo.head)
        return tuple(path for path in self.code if path in known)

    def build_of_matrix(self, name: str) -> Sequence[str]:
        """One build of the matrix, or nothing if it was well."""
        matrix.run(matrix.Request((name,), self.request.kernel_src, build=self.request.build))
        return ()

    def smatch(self) -> Sequence[str]:
        """What smatch says of the touched files."""
        raise SkipError("Debian has no package of smatch")

    def kernel_doc(self) -> Sequence[str]:
        """The kernel's comments on functions and structures."""

        def said(repo: Repo, files: Sequence[str]) -> tuple[Complaint, ...]:
            command = ["perl", "scripts/kernel-doc", "-none", "-Wall", *files]
            done = proc.run(command, cwd=repo.path, timeout=_DOCS_TIMEOUT, check=None)
            found = parse(_KERNEL_DOC, done.stderr + done.stdout, (str(repo.path), "."))
            if not done.ok and not found:
                raise BuildError(f"kernel-doc {done.why}")
            return found

        return self._new("kernel-doc", self.code, said)

    def sphinx(self) -> Sequence[str]:
        """The pages on BPF, as they are published."""
        pages = [path for path in self.sources.touched if path.startswith(_DOCS)]

        def said(repo: Repo, files: Sequence[str]) -> tuple[Complaint, ...]:
            del files
            out = self.root / f"docs-{repo.path.name}"
            out.mkdir(parents=True, exist_ok=True)
            log = kmake.fresh(self.root / f"log/sphinx-{repo.path.name}.log")
            # Only what has changed is read again, and warned of.
            # Python's modules that it calls are Debian's, not those of our own environment.
            command = [
                *("env", f"PATH={_DEBIAN}", "make", "-C", repo.path, f"O={out}"),
                *("SPHINXDIRS=bpf", "SPHINXOPTS=-E"),
            ]
            with watching(f"sphinx: {repo.path.name}", log) as tick:
                words = [str(word) for word in (*command, "htmldocs")]
                kmake.make("bpf documentation", words, log, build=self.request.build, tick=tick)
            text = log.read_text(encoding="utf-8", errors="replace")
            return parse(_SPHINX, text, (str(repo.path),))

        return self._new("sphinx", pages, said)

    def coccinelle(self) -> Sequence[str]:
        """Every rule of scripts/coccinelle/ on the files that the series creates."""
        return self._coccinelle("ours", self.created)

    def coccinelle_touched(self) -> Sequence[str]:
        """Every rule on the other files; the verifier among them takes an hour."""
        return self._coccinelle("touched", [path for path in self.code if path not in self.created])

    def _coccinelle(self, name: str, files: Sequence[str]) -> Sequence[str]:
        """Every rule on some files, unless they were well as they are."""
        rules = sorted(self.repo.path.glob("scripts/coccinelle/*/*.cocci"))
        if not rules:
            raise BuildError(f"{self.repo.path} has no rules for Coccinelle.")
        unread = [rule.name for rule in rules if _OCAML in rule.read_text(encoding="utf-8")]
        if unread:
            say(f"coccinelle: left out, as they want OCaml: {' '.join(unread)}")
        rules = [rule for rule in rules if rule.name not in unread]
        key = fingerprint.of_words(
            fingerprint.of_files(self.repo.path, rules),
            fingerprint.of_files(self.repo.path, [self.repo.path / path for path in files]),
            kmake.version("spatch"),
        )
        stamps = kmake.Stamps(self.root / "stamps.json")
        if stamps.holds(name, key):
            return ()
        faults = self._new("Coccinelle", files, lambda *what: self._rules(name, rules, *what))
        if not faults:
            stamps.put(name, key)
        return faults

    def _rules(
        self, name: str, rules: Sequence[Path], repo: Repo, files: Sequence[str]
    ) -> tuple[Complaint, ...]:
        log = kmake.fresh(self.root / f"log/coccinelle-{name}-{repo.path.name}.log")

        found: set[Complaint] = set()
        with watching(f"coccinelle: {repo.path.name}", log) as tick:
            for rule in rules:
                words = _RULE_OPTIONS.search(rule.read_text(encoding="utf-8"))
                options = words[1].split() if words else []
                command = [
                    *("spatch", "-D", "report", "--no-show-diff", "--very-quiet", *options),
                    *("--timeout", str(_FILE_TIMEOUT), "--cocci-file", str(rule)),
                    *("--jobs", str(max(1, kmake.jobs() - 1))),
                    *("-I", "include", "-I", "arch/x86/include", *files),
                ]
                done = proc.run(
                    command,
                    cwd=repo.path,
                    env={"PATH": packages.search_path()},
                    timeout=_RULE_TIMEOUT,
                    tick=tick,
                    check=None,
                )
                with log.open("a", encoding="utf-8") as file:
                    file.write(f"{rule.name}: {done.returncode}\n{done.stdout}{done.stderr}")
                if not done.ok:
                    raise BuildError(f"{rule.name}: spatch {done.why} (log: {log})")
                # Some rules say the same twice.
                found |= set(parse(_COCCI, done.stdout, (str(repo.path), ".")))
        return tuple(sorted(found, key=lambda each: each.line))

    def _new(
        self,
        name: str,
        files: Sequence[str],
        said: Callable[[Repo, Sequence[str]], tuple[Complaint, ...]],
    ) -> Sequence[str]:
        """What is said about files, and not about the base."""
        if not files:
            raise SkipError(f"the series touches nothing that {name} reads")
        ours = [each for each in said(self.repo, files) if each.path in files]
        if not ours:
            return ()
        base = self.sources.base
        known = [path for path in files if (base.path / path).is_file()]
        theirs = said(base, known) if known else ()
        return [each.line for each in complaints.added(ours, theirs)]

    def stack(self) -> Sequence[str]:
        """What our functions, and the chains of programs, take of the stack."""
        (entry,) = matrix.choose(matrix.listed(), ("krsi",))
        objects = [
            name for name in map(complaints.object_of, self.code) if name and name.startswith(_OURS)
        ]
        made = kmake.Kernel("static", self.repo.path, self.root / "kernel", entry.compiler)
        log = kmake.fresh(self.root / "log/stack.log")
        made.configure(entry.config, log)
        for name in objects:
            (made.out / name).unlink(missing_ok=True)
        with watching("stack", log) as tick:
            made.make("stack", log, "KCPPFLAGS=-fstack-usage", _OURS, tick=tick)
        # KUnit's part is not in this kernel.
        objects = [name for name in objects if (made.out / name).is_file()]
        if not objects:
            return (f"{_OURS} has no object in this configuration",)
        functions: list[Use] = []
        for name in objects:
            path = (made.out / name).with_suffix(".su")
            if not path.is_file():
                return (f"{path} was not written",)
            functions += usage(path.read_text(encoding="utf-8"))
        chains = self._chains(made.out)
        content = {
            "functions": [asdict(use) for use in functions],
            "chains": [asdict(use) for use in chains],
        }
        kmake.replace(self.root / "stack.json", (json.dumps(content, indent=2) + "\n").encode())
        say(f"stack, in bytes: {len(functions)} functions of {_OURS}")
        for line in table(functions, 15):
            say(f"  {line}")
        say(f"  and the chains of {len(chains)} hooks")
        for line in table(_largest_of_each(chains), 15):
            say(f"  {line}")
        return [
            f"{use.name} takes {use.bytes} bytes of the stack ({use.how}), more than {STACK_LIMIT}"
            for use in (*functions, *chains)
            if use.bytes > STACK_LIMIT or "dynamic" in use.how
        ]

    def _chains(self, out: Path) -> tuple[Use, ...]:
        """The chain of each hook: what its prologue, which the JIT writes, subtracts.

        Raises:
            BuildError: the JIT does not write what is derived here.
        """
        jit = (self.repo.path / _JIT).read_text(encoding="utf-8")
        cookie = _COOKIE.search((self.repo.path / _CHAIN).read_text(encoding="utf-8"))
        absent = [line.strip() for line in _FRAME if line not in jit]
        if absent or not cookie:
            what = absent[0] if absent else "BPF_CHAIN_CTX_COOKIE"
            raise BuildError(
                f"{_JIT} makes another frame for chains: mend static.frame() ({what})."
            )
        header = self.repo.path / "include/linux/lsm_hook_defs.h"
        words = ("gcc", "-E", "-P", "-x", "c", f"-I{self.repo.path}/include", f"-I{out}/include")
        included = (
            *("-include", f"{out}/include/generated/autoconf.h"),
            *("-include", f"{self.repo.path}/include/linux/kconfig.h"),
        )
        text = _HOOKS.format(header=f'"{header}"')
        done = proc.run([*words, *included, "-"], stdin=text, timeout=60, check=BuildError)
        found = hooks(done.stdout)
        if not found:
            raise BuildError(f"{header} defines no hook.")
        return tuple(
            Use(name, "", frame(count, int(cookie[1]), returns=returns), "derived")
            for name, count, returns in found
        )


def _largest_of_each(uses: Sequence[Use]) -> list[Use]:
    """One line for the hooks that take the same."""
    by_size: dict[int, list[str]] = {}
    for use in uses:
        by_size.setdefault(use.bytes, []).append(use.name)
    return [
        Use(f"{len(names)} hooks, {names[0]} for one", "", size, "derived")
        for size, names in by_size.items()
    ]
