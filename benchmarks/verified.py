"""Repeat the experiments of Kumar, Liang and Ma (2019), "Verified uncertainty calibration".

a  The measured error of a Platt-scaled model grows with the number of bins.
b  Scaling-binning against histogram binning, class by class and for the top label.
c  Plugin and debiased estimates of a squared error: MSE and bias.
d  Laws with known exact errors: error by rows and bins, and a misspecified scaler.

    python benchmarks/verified.py                       # all, on generated data: two minutes
    python benchmarks/verified.py --quick               # fewer trials: half a minute
    python benchmarks/verified.py --only b c --data FILE.npz --plot figures

Results have standard errors, and the paper's results beside them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import verified_figures as figures
import verified_paper as paper
import verified_runs as runs
import verified_sims as sims
import verified_tables as tables
from verified_laws import LADDER, UniformLaw, load, network

#: Trials of each experiment: usual number, with --quick. --trials sets it for all.
TRIALS = {"a": (100, 2), "b": (100, 5), "c": (10_000, 1_000), "d": (1_000, 40)}
#: Resamples for an interval: usual number, with --quick.
RESAMPLES = (1_000, 100)
#: Rows of the table of biases.
ROWS_BIAS = (1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000)
BINS_BIAS = 100
#: The table of biases takes this many times the data sets, since 10,000 leave 0.5% of noise.
MORE_SETS = 5


class Session:
    """Options of the command line and the data of all experiments."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.quick = options.quick
        self.resamples = RESAMPLES[options.quick]
        self.data = load(options.data, options.split) if options.data else None
        self.plot: Path | None = options.plot
        if self.plot:
            self.plot.mkdir(parents=True, exist_ok=True)

    def trials(self, name: str, classes: int = 0) -> int:
        """Number of trials: ``--trials``, else the usual number, fewer with many classes."""
        usual = TRIALS[name][self.quick]
        return self.options.trials or max(min(usual, 5), usual * 10 // max(10, classes))

    def rng(self, name: str) -> np.random.Generator:
        """Random generator of one experiment, so that results do not depend on the others."""
        return np.random.default_rng([self.options.seed, ord(name)])

    def pool(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The user's data, or the generated network's."""
        return self.data if self.data else network(rng, paper.POOL_B)

    def drawn(self, path: Path) -> None:
        print(f"\n  figure: {path}")


def experiment_a(session: Session) -> dict[str, Any]:
    rng = session.rng("a")
    if session.data:
        p, y = top_label(*session.data)
        order = rng.permutation(len(y))
        split = (len(y) // 10, len(y) // 10, len(y) - 2 * (len(y) // 10))
        rows = runs.run_a(p[order], y[order], split[:2], rng, session.resamples)
        repeats = None
    else:
        law, split = UniformLaw.ladder(LADDER, *paper.RANGE_D), paper.IMAGENET_SPLIT
        repeats = runs.repeat_a(law, split, session.trials("a"), rng, session.resamples)
        rows = repeats
    tables.table_a(rows, split, repeats is None)
    if repeats:
        tables.table_a_repeats(repeats)
    if session.plot:
        session.drawn(figures.figure_a(rows, session.plot, repeats is None))
    return {"split": split, "rows": rows}


def top_label(P: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and whether the top class is right; binary problems unchanged."""
    return (P, y) if P.ndim == 1 else (P.max(axis=1), (P.argmax(axis=1) == y).astype(np.int64))


def experiment_b(session: Session) -> dict[str, Any]:
    rng = session.rng("b")
    P, y = session.pool(rng)
    trials = session.trials("b", P.shape[-1] if P.ndim == 2 else 2)
    tables.table_pool(P, y)
    readings = ["binary"] if P.ndim == 1 else ["class-wise", "top-label"]
    found = {}
    for reading in readings:
        found[reading] = runs.run_b(P, y, reading, trials, rng)
        tables.table_b(found[reading], reading, trials, session.data is not None)
    if session.plot:
        session.drawn(figures.figure_b(found, session.plot))
    return {"trials": trials, **found}


def experiment_c(session: Session) -> dict[str, Any]:
    rng, sets = session.rng("c"), session.trials("c")
    P, y = session.pool(rng)
    found, rows = {}, sims.split_c(rng, len(y))
    for n_bins in sorted(paper.TRUTH_C, reverse=True):
        model = sims.finite_model(P, y, *rows, n_bins)
        found[n_bins] = sims.run_c(model, paper.ROWS_C, sets, rng)
        tables.table_c(found[n_bins], n_bins, sets, session.data is not None)
        if n_bins == BINS_BIAS:
            bias = sims.run_c(model, ROWS_BIAS, MORE_SETS * sets, rng)
    tables.table_bias(bias, BINS_BIAS, MORE_SETS * sets)
    if session.plot:
        session.drawn(figures.figure_c(found, bias, session.plot))
    return {"data sets": sets, **{f"{b} bins": table for b, table in found.items()}, "bias": bias}


def experiment_d(session: Session) -> dict[str, Any]:
    trials = session.trials("d")
    found = sims.run_d(trials, session.rng("d"))
    tables.table_d(found, trials)
    tables.table_noisy(found["noisy"], trials)
    if session.plot:
        session.drawn(figures.figure_d(found, session.plot))
    return {"trials": trials, **found}


EXPERIMENTS = {"a": experiment_a, "b": experiment_b, "c": experiment_c, "d": experiment_d}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="experiments"
    )
    parser.add_argument("--data", type=Path, help=".npz with scores and labels, for a, b, c")
    parser.add_argument("--split", help='rows of --data: "val" for val_logits, val_labels')
    parser.add_argument("--trials", type=_positive, help="trials or data sets of each experiment")
    parser.add_argument("--seed", type=int, default=0, help="seed of the generated data")
    parser.add_argument("--quick", action="store_true", help="fewer trials and resamples")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw the results as PNG files")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all results; means as [value, se]"
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text}; expected at least 2, for standard errors")
    return value


def main() -> None:
    session = Session(parse())
    out: dict[str, Any] = {"seed": session.options.seed}
    for name in dict.fromkeys(session.options.only):
        start = time.perf_counter()
        out[name] = EXPERIMENTS[name](session)
        print(f"\n  {name}: {time.perf_counter() - start:.1f} s")
    if session.options.json:
        session.options.json.write_text(json.dumps(out, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
