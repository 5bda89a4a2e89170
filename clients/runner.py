"""Run one client test in the guest and report KTAP. Takes the arguments that lsm_tests takes.

A client test is a file client_*.py beside this one, its functions test_* are the subtests. Each
runs in a process of its own: what it leaves attached goes with it. Standard library only.
"""

import argparse
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

import support

_POLL = 0.02
_SKIPPED = 77


class Report:
    """KTAP in a file, on disk as far as it has come."""

    def __init__(self, file: IO[str], test: str) -> None:
        """Begin the report on `test`."""
        self._file = file
        self._test = test
        self._count = 0
        self._failed = False
        self.line("KTAP version 1", "1..1", "    KTAP version 1", f"    # Subtest: {test}")

    def line(self, *lines: str) -> None:
        """Add lines."""
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def running(self, subtest: str) -> None:
        """A subtest begins."""
        self.line(f"    # running: {subtest}")

    def result(self, subtest: str, output: str, directive: str, *, passed: bool) -> None:
        """A subtest has ended."""
        self._count += 1
        self._failed |= not passed
        said = [f"    # {_printable(line)}" for line in output.splitlines()]
        tail = f" # {directive}" if directive else ""
        self.line(*said, f"    {'ok' if passed else 'not ok'} {self._count} {subtest}{tail}")

    def end(self) -> int:
        """The test has ended; returns the exit status."""
        self.line(f"    1..{self._count}", f"{'not ok' if self._failed else 'ok'} 1 {self._test}")
        return int(self._failed)


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in line)


def announce(test: str, subtest: str) -> None:
    """A line in the kernel's log says during which test the others came."""
    with open("/dev/kmsg", "w") as log:
        log.write(f"lsm_tests: {test}/{subtest}\n")


def child(function: Callable[[], None], output: IO[str]) -> int:
    """What the subtest's process does; returns its exit status."""
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    try:
        function()
    except support.SkipTest as reason:
        print(f"SKIP:{reason}", flush=True)
        return _SKIPPED
    except BaseException:  # noqa: BLE001 - whatever it is, it is the verdict
        traceback.print_exc()
        return 1
    return 0


def run(function: Callable[[], None], deadline: float) -> tuple[int | None, str]:
    """Run a subtest. Returns its exit status, None if it was ended for being late, and output."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            answer = child(function, output)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(answer)
        status = _wait(pid, deadline)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        output.seek(0)
        return status, output.read()


def _wait(pid: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def wanted(names: Sequence[str]) -> tuple[str, list[str]]:
    """The test that `names` are of, and its subtests; no subtest means all."""
    tests = {name.partition("/")[0] for name in names}
    if len(tests) != 1:
        sys.exit(f"one test at a time: {names}")
    return tests.pop(), [name.partition("/")[2] for name in names if "/" in name]


def main() -> int:
    """Run what the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kmsg", action="store_true")
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--output", required=True)
    parser.add_argument("--build", required=True, help="where the compiled parts lie")
    parser.add_argument("--debian-13", default="", help="where what is taken from there lies")
    parser.add_argument("names", nargs="+")
    args = parser.parse_args()
    support.BUILD = args.build
    support.DEBIAN_13 = args.debian_13
    test, subtests = wanted(args.names)
    module = importlib.import_module(test)
    functions = {
        name.removeprefix("test_"): function
        for name, function in vars(module).items()
        if name.startswith("test_")
    }
    deadline = time.monotonic() + args.timeout
    with open(args.output, "w") as file:
        report = Report(file, test)
        for name in subtests or functions:
            report.running(name)
            if args.kmsg:
                announce(test, name)
            status, output = run(functions[name], deadline)
            skip = output.rpartition("SKIP:")[2].strip() if status == _SKIPPED else ""
            late = f"TIMEOUT after {args.timeout:.0f} seconds" if status is None else ""
            died = f"ERROR killed by signal {-status}" if status is not None and status < 0 else ""
            passed = status in (0, _SKIPPED)
            directive = late or died or (f"SKIP {skip}" if status == _SKIPPED else "")
            report.result(name, output, directive, passed=passed)
            if late:
                break
        return report.end()


if __name__ == "__main__":
    sys.exit(main())
