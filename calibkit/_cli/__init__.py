"""The command line ``calibkit``; it needs the extra ``cli``."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line; the entry point of the script ``calibkit``."""
    if any(find_spec(name) is None for name in ("typer", "rich", "polars")):
        sys.stderr.write("calibkit: the command line needs an extra: pip install 'calibkit[cli]'\n")
        raise SystemExit(1)
    from .app import run

    run()
