"""`make listing`: follow one call through the kernel, and write down what it executes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory

from harness import packages, proc
from harness.bench import gdb, machine, record
from harness.bench.listing import Symbols, Trace, render
from harness.bench.machine import Kernel
from harness.bench.plan import Boot
from harness.errors import BuildError, InfraError
from harness.kernel import elf, kmake
from harness.model import BuildPaths
from harness.progress import say

#: Which of the calls that pass ENTRY is followed, see trace_call() in bench/states.c.
NUMBER = 3
ENTRY = "worker_call"
#: No call is longer, in instructions.
LONGEST = 2_000_000
_LONGEST_INSTRUCTION = 15
_SYMBOLS = "symbols"


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        kernel: what is booted.
        paths: of its build.
        call: which call, by its name in plan.CALLS.
        state: what is on its hook: one of plan.STATES, "noop-1" for one.
    """

    kernel: Kernel
    paths: BuildPaths
    call: str
    state: str


def listing(request: Request, folder: Path) -> Path:
    """Make a listing in `folder`, and return its file.

    Raises:
        BuildError: the guest's program has no symbols.
        InfraError: QEMU is missing, or the machine ended early.
    """
    program = elf.Image(request.paths.root / "bench/init")
    entry = _entry(program)
    name = f"{request.call}-{request.state}".replace("+", "-")
    asked = Boot(name, ("trace", request.call, request.state), (_SYMBOLS,))
    log = kmake.fresh(folder / f"{name}.qemu")
    console, found = folder / f"{name}.log", folder / f"{name}.jsonl"
    say(f"{request.kernel.variant}: booting, and following {request.call}, {request.state}")
    # The path of a socket must be short.
    with TemporaryDirectory() as short:
        stub = Path(short) / "gdb"
        command = machine.argv("tcg", request.kernel, console, found, asked)
        command += ["-S", "-gdb", f"unix:{stub},server,nowait"]
        environment = {"PATH": packages.search_path()}
        with proc.spawn(command, env=environment, log=log) as child, gdb.Stub(stub) as cpu:
            trace = follow(cpu, entry)
            cpu.detach()
            try:
                child.wait(machine.DEADLINE)
            except TimeoutExpired as error:
                raise InfraError(f"the machine does not end: see {console}.") from error
    reported = record.parse(found.read_text("utf-8"), asked.cases, f"see {console}")
    if reported.problems:
        raise InfraError(f"{reported.problems[0]}.")
    compiled = reported.cases[_SYMBOLS].values
    kernel = code_symbols((request.paths.kernel / "System.map").read_text("utf-8"))
    symbols = symbols_of(kernel, program, compiled)
    path = folder / f"{name}.txt"
    title = f"{request.kernel.variant}: {request.call}, {request.state}"
    path.write_text(render(trace, symbols, title), "utf-8")
    return path


def follow(cpu: gdb.Stub, entry: int) -> Trace:
    """Follow the call of the function at `entry` whose turn it is.

    Raises:
        InfraError: the machine ended before, or the call does not return.
    """
    cpu.stop_at(entry)
    for _ in range(NUMBER):
        cpu.resume()
    cpu.pass_by(entry)
    top = cpu.register(gdb.RSP)
    back = int.from_bytes(cpu.memory(top, 8), "little")
    addresses: list[int] = []
    code: dict[int, bytes] = {}
    at = entry
    while at != back:
        addresses.append(at)
        if at not in code:
            code[at] = cpu.memory(at, _LONGEST_INSTRUCTION)
        if len(addresses) > LONGEST:
            raise InfraError(f"the call does not return within {LONGEST} instructions.")
        cpu.step()
        at = cpu.register(gdb.RIP)
    return Trace(tuple(addresses), code)


def code_symbols(text: str) -> dict[int, str]:
    """The kernel's names of code, by a System.map; entry code, which is no function, is in it."""
    words = (line.split() for line in text.splitlines())
    return {int(address, 16): name for address, kind, name in words if kind in "tTwW"}


def symbols_of(
    kernel: Mapping[int, str], program: elf.Image, compiled: Mapping[str, int]
) -> Symbols:
    """The names of all addresses: of the kernel, of the guest's program, of BPF programs.

    Args:
        kernel: the kernel's, see `code_symbols`.
        program: what runs in the guest.
        compiled: addresses as the guest reports them: signed, and with #N behind each name.
    """
    names = {place.address: name for name, places in program.functions.items() for place in places}
    names |= kernel
    names |= {address % (1 << 64): name.rpartition("#")[0] for name, address in compiled.items()}
    return Symbols(names)


def _entry(program: elf.Image) -> int:
    """Where the function lies in which the call is made."""
    places = program.functions.get(ENTRY, ())
    if len(places) != 1:
        raise BuildError(f"{program.path} has no function {ENTRY}.")
    return places[0].address
