"""`tablekeep` and `python -m tablekeep`."""

import sys


def main() -> None:
    """Runs the command line and exits with its code."""
    from tablekeep.cli.command import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
