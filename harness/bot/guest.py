"""Boot a kernel of a stranger's making, with QEMU in the sandbox, and run its selftests."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.bot import watch
from harness.bot.limits import Limited, Limits
from harness.bot.sandbox import Bind
from harness.bot.workshop import Found, Workshop
from harness.errors import InfraError
from harness.machine import vm
from harness.machine.console import GuestGoneError
from harness.model import ROOT, Variant
from harness.progress import say
from harness.run import selftests
from harness.run.session import Program, VariantSession, machine_of
from harness.run.testrun import LOG_LIMIT, Settings
from harness.verdicts import files, policy, splat, verdict

POLICY = ROOT / "policy"
#: How long the machines of one series may run, in seconds, and what QEMU may take.
MACHINE = Limits(seconds=3600)

_LSM = (
    "cd /sys/kernel/security && "
    "{ cat lsm 2>/dev/null || { mount -t securityfs x $PWD && cat $PWD/lsm; }; }"
)
#: What virtme-ng's init mounts file systems on, and what programs in the guest ask for.
_MOUNT_POINTS = ("run", "sys", "var", "mnt", "home", "opt", "srv")
_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "shadow": "root:*:1::::::\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "fstab": "",
    "hostname": "guest\n",
}
_KVM = Path("/dev/kvm")
_MOST_FAULTS = 20


@dataclass(frozen=True)
class Guest:
    """Where machines run.

    Attributes:
        shop: has built what they run.
        accel: who executes them.
    """

    shop: Workshop
    accel: vm.Accel

    @property
    def variant(self) -> Variant:
        """The kernel that they are like."""
        return self.shop.base.variant

    @contextmanager
    def _settings(self, name: str, *binds: Bind) -> Iterator[tuple[Settings, watch.Watch]]:
        """A folder that a machine may write to, watched over; and all is ended at the end."""
        sandbox = self.shop.sandbox
        # Nobody in there can make anything in it: where we create a console there is no link.
        place = sandbox.disk.path / name
        place.mkdir()
        share = sandbox.disk.folder(f"{name}/{self.variant.name}", sandbox.uid)
        vng = vm.find_vng()
        kvm = self.accel == "kvm"
        script = sandbox.front_door(
            vng,
            MACHINE,
            sandbox.disk.path / f"{name}-vng",
            binds=(
                Bind(place, writable=True),
                Bind(vng.parent.parent),
                *_interpreter(),
                *_root(sandbox.disk.path / f"{name}-root"),
                *binds,
                *([Bind(_KVM, device=True)] if kvm else []),
            ),
            environment=_environment(share),
            groups=(_KVM.stat().st_gid,) if kvm else (),
        )
        settings = Settings(
            vng=script,
            accel=self.accel,
            deadlines=vm.Deadlines.for_accel(self.accel),
            policy=splat.load_policy(POLICY),
            known=_known(),
            reports=place,
        )
        # The console is made out here, and written by QEMU, which is another user. Nobody else can
        # enter the disk.
        before = os.umask(0)
        try:
            with watch.watching(sandbox.uid, MACHINE, sandbox.disk) as seen:
                yield settings, seen
        finally:
            os.umask(before)

    def boot(self) -> Found:
        """The machine comes up, the LSM is there, and the kernel does not complain.

        Raises:
            InfraError: the kernel of the base does not come up here, either.
        """
        found, came_up = self._boot("boot", self.shop.paths.bzimage)
        if not came_up:
            say("the machine did not come up; does the base's own?")
            control, came_up = self._boot(
                "control", self.shop.base_image, Bind(self.shop.base_image)
            )
            if not came_up:
                raise InfraError(f"no machine comes up in the sandbox: {control.faults[0]}.")
        return found

    def _boot(self, name: str, bzimage: Path, *binds: Bind) -> tuple[Found, bool]:
        """What is wrong with how a kernel boots, and whether it came up at all."""
        faults: list[str] = []
        came_up = False
        with self._settings(name, *binds) as (settings, seen):
            console = settings.reports / f"console-{name}.log"
            machine = machine_of(
                self.variant,
                bzimage,
                Program((), self.shop.paths.bin),
                share=settings.reports / self.variant.name,
                console=console,
                accel=settings.accel,
            )
            try:
                with vm.Vm(machine, settings.deadlines, settings.vng) as running:
                    came_up = True
                    asked = running.channel.run(_LSM, settings.deadlines.boot)
                if "bpf" not in asked.output.strip().split(","):
                    faults.append(f"the LSM bpf is missing: {files.text(asked.output.encode())}")
            except (vm.BootError, GuestGoneError, TimeoutError) as error:
                faults.append(str(error) or "the machine does not answer")
            part = files.read(console, LOG_LIMIT)
            found = splat.scan(files.text(part.data), settings.policy)
        if part.left_out:
            faults.append(f"the kernel says more than {LOG_LIMIT} bytes while it boots")
        faults += [f"{each.kind}: {each.title}" for each in found]
        return Found(tuple(faults[:_MOST_FAULTS]), tuple(seen.limited), console.name), came_up

    def tests(self, names: Sequence[str]) -> tuple[Found, int]:
        """Run selftests; returns how it went, and how many verdicts there are."""
        chosen = self._discovered(names)
        items = selftests.choose(chosen, ())
        faults: list[str] = []
        limited: list[Limited] = []
        with self._settings("guest") as (settings, seen):
            session = VariantSession(
                self.variant,
                self.shop.paths,
                items,
                chosen,
                settings=settings,
                program=Program((str(self.shop.paths.runner),), self.shop.paths.bin),
            )
            try:
                for item in items:
                    reached = session.verdict(item)
                    if reached.status not in verdict.FINE:
                        faults.append(f"{item.name}: {reached.status.value}: {reached.message}")
                session.close()
            finally:
                session.kill()
            faults += [f"{each.kind}: {each.title}" for each in session.strays]
        limited += seen.limited
        if session.error:
            faults.append(str(session.error))
        say(f"selftests: {len(items)} verdicts, {len(faults)} faults")
        log = f"console-{self.variant.name}.log"
        return Found(tuple(faults[:_MOST_FAULTS]), tuple(limited), log), len(items)

    def _discovered(self, names: Sequence[str]) -> tuple[selftests.Selftest, ...]:
        """The tests, by sources that were asked for inside and are plain files out here."""
        folder = self.shop.sandbox.disk.path / "prog_tests"
        folder.mkdir()
        for name in names:
            (folder / f"{name}.c").write_text(self.shop.source_of(name), encoding="utf-8")
        return tuple(test for test in selftests.discover(folder) if test.name in names)


def _root(place: Path) -> Iterator[Bind]:
    """What a guest wants of the root that it shares with the sandbox: places to mount things on.

    Args:
        place: where they are made.
    """
    place.mkdir()
    for name in _MOUNT_POINTS:
        (place / name).mkdir()
        yield Bind(place / name, Path("/", name))
    for name, text in _ETC.items():
        (place / name).write_text(text, encoding="utf-8")
        yield Bind(place / name, Path("/etc", name))


def _interpreter() -> Iterator[Bind]:
    """The Python that vng's environment was made from, where it is not the system's."""
    place = Path(sys.base_prefix)
    if not place.is_relative_to("/usr"):
        yield Bind(place)


def _environment(home: Path) -> dict[str, str]:
    """What vng sees; not a word of ours."""
    wanted = vm.environment(home)
    return {name: wanted[name] for name in ("PATH", "HOME")}


def _known() -> tuple[verdict.KnownFailure, ...]:
    path = POLICY / "known-failures.txt"
    return verdict.parse_known(path.read_text(encoding="utf-8"), str(path), policy.today())
