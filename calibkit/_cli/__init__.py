"""The command line ``calibkit``: tables in; reports, pictures and files out."""

import sys
from importlib.util import find_spec

_NEEDS = ("typer", "rich", "polars")


def main() -> None:
    """Run the command line, if its extra is there; the entry point of the script ``calibkit``."""
    if any(find_spec(name) is None for name in _NEEDS):
        sys.stderr.write("calibkit: the command line needs an extra: pip install 'calibkit[cli]'\n")
        raise SystemExit(1)
    from .app import run

    run()
