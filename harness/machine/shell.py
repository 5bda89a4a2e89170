"""A machine without tests: a root shell for a person, or commands whose exit status is ours."""

import sys
import tempfile
from pathlib import Path

from harness import proc
from harness.errors import InfraError
from harness.machine import accel, vm
from harness.machine.vm import Machine
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.run import suites
from harness.run.options import Options
from harness.run.session import machine_of

_FOLDERS = ROOT / "build/shell"
_VM_DIED = 255


def run(options: Options) -> int:
    """Do without tests what the options say.

    Returns 0 to a person, and otherwise the exit status of the last command.
    """
    variant = options.variants[0]
    _FOLDERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{variant}-", dir=_FOLDERS) as folder:
        return _run(options, variant, Path(folder))


def _run(options: Options, variant: str, folder: Path) -> int:
    vng = vm.find_vng()
    machine = _machine(options, variant, folder)
    if options.command:
        return _command(vng, machine, options.command)
    if not sys.stdin.isatty():
        return _batch(vm.batch_argv(vng, machine), variant, machine.share)
    return _person(vng, machine, variant)


def _machine(options: Options, variant: str, folder: Path) -> Machine:
    paths = BuildPaths.of(variant)
    program = suites.SUITES[options.suite]().programs([variant])[variant]
    answer = accel.choose(options.accel, paths.bzimage)
    print(f"accelerator: {answer}", file=sys.stderr, flush=True)
    return machine_of(
        VARIANTS[variant],
        paths.bzimage,
        program,
        share=folder,
        console=folder / "console.log",
        accel=answer.accel,
        cpus=options.cpus,
        options=options.append,
    )


def _person(vng: Path, machine: Machine, variant: str) -> int:
    script = machine.share / "sh"
    script.write_text(vm.shell_script(machine), "utf-8")
    script.chmod(0o755)
    print(f"booting {variant}; leave with exit or Ctrl-D", file=sys.stderr, flush=True)
    argv = vm.shell_argv(vng, machine, script)
    if proc.interact(argv, cwd=ROOT, env=vm.environment(machine.share)) != 0:
        raise InfraError(f"the machine of '{variant}' did not end well")
    return 0


def _command(vng: Path, machine: Machine, command: str) -> int:
    """Run one command, show what it prints as it comes; returns its exit status."""
    script, status = machine.share / "command", machine.share / "status"
    script.write_text(f"{command}\n", "utf-8")
    status.unlink(missing_ok=True)
    argv = vm.command_argv(vng, machine, script, status)
    with proc.spawn(argv, cwd=ROOT, env=vm.environment(machine.share)) as child:
        for line in child.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
        child.wait()
    try:
        return int(status.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InfraError(f"{machine.name} ended before the command did") from error


def _batch(argv: list[str], variant: str, home: Path) -> int:
    """Run the commands of standard input; returns the exit status of the last one.

    What they print passes through pipes: QEMU would truncate a file.
    """
    commands = sys.stdin.read()
    result = proc.run(argv, cwd=ROOT, env=vm.environment(home), stdin=commands, check=None)
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    if result.returncode in (_VM_DIED, *range(-64, 0)):
        raise InfraError(f"the machine of '{variant}' ended without a result")
    return result.returncode
