"""What is done: a kernel is built on one worker, tested on all of them, and the parts are merged.

Only commands that everybody can type are called: `make check`, `make kernel`, `./run_tests.py` and
`python3 -m harness report merge`, and `tar` for what goes from worker to worker by the master.
"""

from collections.abc import Callable, Sequence
from typing import Any

from buildbot.plugins import steps, util
from buildbot.process.results import EXCEPTION, FAILURE, SUCCESS

from krsi_ci.settings import Maildir, Settings

BRANCH, SERIES = "branch", "series"
#: The step whose words are the report where there is no report.txt.
MERGE = "merge"
#: What another worker needs to boot and test a kernel.
KERNEL = (
    *("build/krsi/manifest.json", "build/krsi/bin"),
    *("build/krsi/kernel/arch/x86/boot/bzImage", "build/krsi/kernel/vmlinux"),
)
#: The exit statuses of the commands, see README.md: 1 and 3 are the series' fault, others are not.
_STATUS = {0: SUCCESS, 1: FAILURE, 2: FAILURE, 3: FAILURE, 4: EXCEPTION}
_TARBALL = "build/kernel.tar.gz"
_SHARD = "build/shard.tar.gz"
_MBOX = "build/series.mbox"
_ANSWER = "build/answer"
_MERGED = "build/merged"

#: How long a command may take to end when it is asked to, in seconds.
_GRACE = 120

#: A worker builds or boots one thing at a time; waiting for others does not count.
_machine = util.WorkerLock("machine", maxCount=1)


def shard(number: int) -> str:
    """The name of a shard's builder, and of its scheduler."""
    return f"shard-{number}"


def builders(settings: Settings) -> list[Any]:
    """All builders; any worker does for any of them."""
    names = [worker.name for worker in settings.workers]
    made = [util.BuilderConfig(name=BRANCH, workernames=names, factory=_branch(settings))]
    if settings.maildir is not None:
        factory = _series(settings, settings.maildir)
        made.append(util.BuilderConfig(name=SERIES, workernames=names, factory=factory))
    for number, name in enumerate(names, start=1):
        made.append(
            util.BuilderConfig(
                name=shard(number),
                workernames=names,
                nextWorker=preferring(name),
                factory=_shard(settings, number),
            )
        )
    return made


def preferring(name: str) -> Callable[[Any, Sequence[Any], Any], Any]:
    """Choose the worker of this name while it is there, and any other one when it is not."""

    def choose(builder: Any, workers: Sequence[Any], request: Any) -> Any:
        del builder, request
        wanted = [each for each in workers if each.worker.workername == name]
        return (wanted or list(workers) or [None])[0]

    return choose


def _branch(settings: Settings) -> Any:
    """Check and build on one worker, let the shards run, merge what they say."""
    numbers = range(1, len(settings.workers) + 1)
    parts = [f"build/shards/{number}" for number in numbers]
    merge = ("python3", "-m", "harness", "report", "merge", *parts, "--output", _MERGED)
    return util.BuildFactory(
        [
            _checkout(settings),
            _clean(_MERGED, "build/shards", "build/reports"),
            _command(settings, "check", "make", "check"),
            _command(settings, "kernel", "make", "kernel", halt=True),
            # A kernel that cannot even do this is not worth everybody's time; and the module that
            # a test loads is made now, where the sources are.
            _command(settings, "smoke", "./run_tests.py", settings.tests.smoke, halt=True),
            _command(settings, "pack", "tar", "-czf", _TARBALL, *KERNEL, halt=True),
            steps.FileUpload(
                name="hand over",
                workersrc=_TARBALL,
                masterdest=_handed_over("kernel.tar.gz"),
                haltOnFailure=True,
            ),
            steps.Trigger(
                name="shards",
                schedulerNames=[shard(number) for number in numbers],
                waitForFinish=True,
                updateSourceStamp=True,
                set_properties={"handed_over": _handed_over("")},
                haltOnFailure=False,
                flunkOnFailure=True,
            ),
            *(step for number in numbers for step in _fetch(settings, number)),
            _command(settings, MERGE, *merge),
            steps.DirectoryUpload(name="keep", workersrc=_MERGED, masterdest=_kept()),
            steps.MasterShellCommand(
                name="clear",
                command=["rm", "-rf", _handed_over("")],
                alwaysRun=True,
                haltOnFailure=False,
            ),
        ]
    )


def _fetch(settings: Settings, number: int) -> tuple[Any, ...]:
    """Get what a shard has left; nothing is a failure."""
    folder = f"build/shards/{number}"
    return (
        steps.FileDownload(
            name=f"fetch {number}",
            mastersrc=_handed_over(f"{shard(number)}.tar.gz"),
            workerdest=f"{folder}.tar.gz",
            haltOnFailure=False,
            flunkOnFailure=True,
        ),
        _command(
            settings,
            f"unpack {number}",
            "tar",
            "-xzf",
            f"{folder}.tar.gz",
            f"--one-top-level={folder}",
        ),
    )


def _shard(settings: Settings, number: int) -> Any:
    """Test a part on a kernel that was built elsewhere."""
    place = util.Interpolate(f"%(prop:handed_over)s{shard(number)}.tar.gz")
    part = f"{number}/{len(settings.workers)}"
    return util.BuildFactory(
        [
            _checkout(settings),
            # What an earlier build has left must not be taken for what this one says.
            _clean("build/krsi", "build/reports"),
            steps.FileDownload(
                name="take over",
                mastersrc=util.Interpolate("%(prop:handed_over)skernel.tar.gz"),
                workerdest=_TARBALL,
                haltOnFailure=True,
            ),
            _command(settings, "unpack", "tar", "-xzf", _TARBALL, halt=True),
            _command(settings, "test", "./run_tests.py", "--shard", part),
            _command(settings, "pack", "tar", "-czf", _SHARD, "-C", "build/reports/latest", "."),
            steps.FileUpload(name="report", workersrc=_SHARD, masterdest=place),
        ]
    )


def _series(settings: Settings, maildir: Maildir) -> Any:
    """Let the bot look at somebody's series; it brings its own limits."""
    answer = ("./run_tests.py", "--mbox", _MBOX, "--on", maildir.on, "--output", _ANSWER)
    return util.BuildFactory(
        [
            _checkout(settings, always_latest=True),
            _clean(_ANSWER, _MBOX),
            steps.FileDownload(
                name="mails",
                mastersrc=util.Property("mbox"),
                workerdest=_MBOX,
                haltOnFailure=True,
            ),
            _command(settings, "answer", *answer),
            steps.DirectoryUpload(name="keep", workersrc=_ANSWER, masterdest=_kept()),
        ]
    )


def _checkout(settings: Settings, *, always_latest: bool = False) -> Any:
    """The project; what is built in it stays for the next time."""
    return steps.Git(
        repourl=settings.project.repository,
        branch=settings.project.branch,
        mode="full",
        method="clean",
        logEnviron=False,
        alwaysUseLatest=always_latest,
        haltOnFailure=True,
    )


def _clean(*paths: str) -> Any:
    return steps.ShellCommand(
        name="clean", command=["rm", "-rf", *paths], logEnviron=False, haltOnFailure=True
    )


def _command(settings: Settings, name: str, *words: str, halt: bool = False) -> Any:
    """One command; no other one runs on the same machine meanwhile."""
    return steps.ShellCommand(
        name=name,
        command=list(words),
        locks=[_machine.access("exclusive")],
        maxTime=settings.tests.hours * 3600,
        timeout=None,
        # What runs ends its machines, and reports what was done.
        sigtermTime=_GRACE,
        logEnviron=False,
        decodeRC=_STATUS,
        haltOnFailure=halt,
        flunkOnFailure=True,
    )


def _handed_over(name: str) -> Any:
    """A file on the master, between workers."""
    return util.Interpolate(f"handed-over/%(prop:buildername)s-%(prop:buildnumber)s/{name}")


def _kept() -> Any:
    """The folder of a build's report on the master."""
    return util.Interpolate("reports/%(prop:buildername)s-%(prop:buildnumber)s")
