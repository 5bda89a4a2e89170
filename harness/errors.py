"""What can go wrong, in the three families that the exit codes tell apart."""

INTERRUPTED = 130
"""The exit status of a run that somebody has ended: Ctrl-C, SIGTERM."""


class KrsiError(Exception):
    """A failure with one sentence that names the culprit and the way out."""

    exit_code = 4


class UsageError(KrsiError):
    """The command line or an input file is wrong."""

    exit_code = 2


class BuildError(KrsiError):
    """The series, the configuration or the compiler said no."""

    exit_code = 3


class InfraError(KrsiError):
    """The machine, a tool or the virtual machine let us down."""

    exit_code = 4
