"""Measure how often the proofs of calibkit fail, and how sharp they are.

    python benchmarks/proofs.py bins                  # one part, and store its results
    python benchmarks/proofs.py bins --repeats 200    # fewer simulations, not stored
    python benchmarks/proofs.py --show                # print the stored results

A promise at level .9 may fail in 10% of the simulations; "HIGH" marks a share that is above that by
more than three standard errors. Each part is a module ``proofs_NAME.py`` with ``run`` and ``show``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

RESULTS = Path(__file__).with_name("proofs.json")
PARTS = ("bins", "groups", "certify", "rows", "threshold")
REPEATS = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the stored results")
    options = parser.parse_args()
    stored = json.loads(RESULTS.read_text()) if options.show else {}
    for name in options.parts or PARTS:
        if options.show and name not in stored:
            print(f"{name}: no results are stored")
            continue
        part, start = importlib.import_module(f"proofs_{name}"), time.perf_counter()
        found = stored[name] if options.show else part.run(options.repeats, options.seed)
        part.show(found)
        if not options.show:
            print(f"{time.perf_counter() - start:.0f} seconds")
        if options.repeats == REPEATS and not options.show:
            stored = {**(json.loads(RESULTS.read_text()) if RESULTS.exists() else {}), name: found}
            RESULTS.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
