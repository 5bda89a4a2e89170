#!/usr/bin/env python3
"""Boot a built kernel in a virtual machine and run the C selftests in it. See --help."""

import sys

from harness import bootstrap, proc
from harness.errors import INTERRUPTED, KrsiError


def main() -> int:
    """Enter the project's own environment, then run. Returns the exit status."""
    try:
        bootstrap.ensure()
        proc.end_on_signals()
        from harness.run import runtests  # noqa: PLC0415 - its imports need the environment

        return runtests.main(sys.argv[1:])
    except KrsiError as error:
        print(f"run_tests.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"run_tests.py: {error.strerror}: {error.filename or 'output'}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("run_tests.py: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        proc.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
