"""A machine without tests: a root shell for a person, or commands whose exit status is ours."""

import sys
from pathlib import Path

from harness import accel, proc, suites, vm
from harness.errors import InfraError
from harness.model import ROOT, VARIANTS, BuildPaths
from harness.options import Options

_VM_DIED = 255


def run(options: Options) -> int:
    """A root shell in the machine: for a person, or for commands from standard input.

    Returns 0 to a person, and otherwise the exit status of the last command.
    """
    variant = options.variants[0]
    paths = BuildPaths.of(variant)
    program = suites.SUITES[options.suite]().programs([variant])[variant]
    vng = vm.find_vng()
    answer = accel.choose(options.accel, paths.bzimage)
    folder = paths.root / "shell"
    folder.mkdir(parents=True, exist_ok=True)
    machine = vm.Machine(
        name=f"krsi-{variant}",
        bzimage=paths.bzimage,
        share=folder,
        bin=program.bin,
        console=folder / "console.log",
        accel=answer.accel,
        cpus=options.cpus,
        setup=program.setup,
        memory=VARIANTS[variant].memory,
    )
    script = folder / "sh"
    script.write_text(vm.shell_script(machine), "utf-8")
    script.chmod(0o755)
    print(f"accelerator: {answer}", file=sys.stderr, flush=True)
    if not sys.stdin.isatty():
        return _batch(vm.batch_argv(vng, machine), variant, folder)
    print(f"booting {variant}; leave with exit or Ctrl-D", file=sys.stderr, flush=True)
    argv = vm.shell_argv(vng, machine, script)
    if proc.interact(argv, cwd=ROOT, env=vm.environment(folder)) != 0:
        raise InfraError(f"the machine of '{variant}' did not end well")
    return 0


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
