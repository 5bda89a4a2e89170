"""``python3 -m harness``: the front door of everything but the tests."""

import sys

from harness.errors import INTERRUPTED, KrsiError


def main() -> int:
    """Enter the project's environment, then let the command line speak."""
    from harness.bootstrap import ensure  # noqa: PLC0415 - its failure is reported, too

    try:
        ensure()
    except KrsiError as error:
        print(f"krsi: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    from harness.cli import main as cli_main  # noqa: PLC0415 - needs the environment

    return cli_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
