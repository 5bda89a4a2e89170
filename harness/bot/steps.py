"""The checks of one series, in order: what is cheap comes first, what runs code of it last."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from harness.bot import manners
from harness.bot.answer import Answer, Check, name_of, settle
from harness.bot.guest import Guest
from harness.bot.mail import Mail
from harness.bot.manners import Touched
from harness.bot.workshop import Found, Workshop
from harness.errors import BuildError, InfraError
from harness.kernel import build, complaints
from harness.machine import vm
from harness.model import Status
from harness.progress import say


@dataclass
class _Patch:
    """A patch under way: its mail, and what git made of it."""

    mail: Mail
    number: int
    commit: str = ""
    touches: tuple[Touched, ...] = ()

    @property
    def kernel(self) -> bool:
        """Whether it changes what a kernel is built from."""
        return any(not each.path.startswith(build.NOT_KERNEL) for each in self.touches)


@dataclass
class Steps:
    """The checks of one series.

    Attributes:
        answer: gets what is found.
        shop: a copy of the base in a sandbox.
        accel: finds out who executes the machines.
    """

    answer: Answer
    shop: Workshop
    accel: Callable[[], vm.Accel]
    patches: list[_Patch] = field(init=False)

    def __post_init__(self) -> None:
        """Number the patches."""
        self.patches = [
            _Patch(mail, mail.tag.number if mail.tag else 0) for mail in self.answer.series.patches
        ]

    def run(self) -> None:
        """Make all checks that can be made; what one of them rules out stays missing.

        Raises:
            InfraError: the machine let us down; that is nothing against the series.
        """
        read(self.answer)
        if not self.answer.fine("complete", "paths"):
            return
        say("copying the base into the sandbox")
        self.shop.seed()
        for patch in self.patches:
            self._take("checkpatch", patch.number, partial(self.shop.style, patch.mail))
        if not self._apply():
            return
        if self._build() and self._tools():
            self._machines()

    def _take(self, name: str, patch: int, look: Callable[[], Found]) -> bool:
        """Make one check; returns whether it went well."""
        check = self.answer.check(name, patch)
        with _timed(check):
            try:
                found = look()
            except BuildError as error:
                found = Found((str(error),))
        check.limited, check.log = found.limited, found.log
        # A limit that was met speaks against the series, whatever the command said of itself.
        hard = [f"a limit was met: {each}" for each in found.limited if not found.faults]
        settle(check, (*found.faults, *hard))
        if not check.fine:
            say(f"{name_of(self.answer.series, patch)} {name}: FAILED: {check.details[0]}")
        return check.fine

    def _apply(self) -> bool:
        """Lay all patches on top of each other; one that fails is the last."""
        for patch in self.patches:

            def look(patch: _Patch = patch) -> Found:
                found, patch.commit, patch.touches = self.shop.apply(patch.mail)
                return found

            if not self._take("applies", patch.number, look):
                return False
            signed = self.answer.check("sign-off", patch.number)
            if signed.fine:
                author = self.shop.author(patch.commit)
                settle(signed, manners.sign_off_faults(patch.mail, author))
            check = self.answer.check("paths", patch.number)
            if faults := manners.path_faults(patch.touches, self.shop.top):
                settle(check, faults)
                return False
        return True

    def _build(self) -> bool:
        """Build the base, then each patch on top of the one before."""
        say(f"building {self.shop.base}")
        made = self.shop.configure("0000-build.log")
        if not made.faults:
            made = self.shop.compile("base", "0000-build.log")
        if made.faults:
            raise InfraError(f"the base does not build by itself: {'; '.join(made.faults[:3])}.")
        for patch in self.patches:
            name = name_of(self.answer.series, patch.number)
            say(f"{name} {patch.mail.title}")
            if not patch.kernel:
                self.shop.checkout(patch.commit)
                for what in ("builds", "warnings"):
                    check = self.answer.check(what, patch.number)
                    check.status, check.details = Status.SKIP, ("it changes nothing of the kernel",)
                continue
            if not self._build_one(patch, name):
                return False
        return True

    def _build_one(self, patch: _Patch, name: str) -> bool:
        """Build one patch, and compile what it touches before and after; False ends it."""
        log, picky = f"{patch.number:04}-build.log", f"{patch.number:04}-warnings.log"
        before: list[complaints.Complaint] = []

        def build_it() -> Found:
            # A file that does not compile with W=1 even before is looked at afterwards alone.
            before.extend(self.shop.picky(self.shop.objects(patch.touches), f"base-{picky}")[1])
            self.shop.checkout(patch.commit)
            found = self.shop.configure(log)
            return found if found.faults else self.shop.compile(name, log)

        def warn() -> Found:
            found, said = self.shop.picky(self.shop.objects(patch.touches), picky)
            new = [each.line for each in complaints.added(said, before)]
            return found if found.faults else Found(tuple(new), found.limited, found.log)

        return self._take("builds", patch.number, build_it) and (
            self._take("warnings", patch.number, warn) or True
        )

    def _tools(self) -> bool:
        return self._take("tools", 0, lambda: self.shop.tools(self.shop.tests(), "tools.log"))

    def _machines(self) -> None:
        guest = Guest(self.shop, self.accel())
        if not self._take("boot", 0, guest.boot):
            return
        names = self.shop.tests()
        check = self.answer.check("tests")
        if not names:
            check.status, check.details = (
                Status.SKIP,
                ("the sources bring no selftests of their own",),
            )
            return

        def look() -> Found:
            found, count = guest.tests(names)
            check.details = (f"{count} verdicts",)
            return found if count else Found(("no test has reported",), found.limited, found.log)

        self._take("tests", 0, look)


def read(answer: Answer) -> None:
    """Make the checks that only read, as far as they go; nothing of the series is run."""
    series = answer.series
    settle(answer.check("complete"), manners.completeness(series))
    for mail in series.patches:
        number = mail.tag.number if mail.tag else 0
        settle(answer.check("paths", number), manners.path_faults(manners.touched(mail.body)))
        settle(answer.check("sign-off", number), manners.sign_off_faults(mail))


@contextmanager
def _timed(check: Check) -> Iterator[None]:
    started = time.monotonic()
    yield
    check.seconds = round(time.monotonic() - started, 1)
