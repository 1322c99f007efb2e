"""The command line ``calibkit``: from tables to reports, pictures and files."""

import sys
from importlib.util import find_spec

_NEEDS = ("typer", "rich", "polars")


def main() -> None:
    """Run the command line if its extra is installed: the script ``calibkit``."""
    if any(find_spec(name) is None for name in _NEEDS):
        sys.stderr.write("calibkit: the command line needs an extra: pip install 'calibkit[cli]'\n")
        raise SystemExit(1)
    from .app import run

    run()
