"""Kill processes with a journal at random moments, and check that no acknowledged call is lost.

Each child process opens the journal, continues where the file ends, and reports each call that has
returned. It is killed (SIGKILL) after a random delay, also while it opens the journal. A copy of
the file is then opened. Its state must equal, bit for bit, that of an uninterrupted run at the last
call reported or the one after it. The next child continues from the original file.

    python benchmarks/journal.py --kill 200

--stream kills ``calibkit stream`` instead, and --faults ends it at each point where it writes: see
``stream_kill.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stream_kill import run_stream_faults, run_stream_kills

from calibkit import to_dict
from calibkit.online import HedgingCalibrator, Journal, TrackingCalibrator

#: Rows between snapshots: few, so that many kills happen while a snapshot is written.
SNAPSHOT_EVERY = 150
N_CALLS = 1500
MAKERS: list[Callable[[], Any]] = [TrackingCalibrator, lambda: HedgingCalibrator(random_state=1)]


def make_calls(seed: int) -> list[tuple[str, tuple[Any, ...], int]]:
    """Calls of a stream, and their numbers of rows; some labels are missing or late."""
    rng = np.random.default_rng(seed)
    calls: list[tuple[str, tuple[Any, ...], int]] = []
    waiting: list[int] = []
    for i in range(N_CALLS):
        n = int(rng.integers(1, 30))
        p = rng.random(n)
        y = (rng.random(n) < p**2).astype(float)
        y[rng.random(n) < 0.05] = np.nan
        kind = rng.choice(["partial_fit", "predict_then_update", "learn_one", "forecast", "label"])
        if kind == "learn_one":
            calls.append((kind, (float(p[0]), 1 if y[0] == 1 else 0), 1))
        elif kind == "forecast":
            ids = [1000 * i + k for k in range(n)]
            waiting += ids
            calls.append((kind, (ids, p), n))
        elif kind == "label" and waiting:
            ids = [
                waiting.pop(int(rng.integers(len(waiting)))) for _ in range(min(n, len(waiting)))
            ]
            calls.append((kind, (ids, y[: len(ids)]), len(ids)))
        else:
            calls.append(("partial_fit" if kind == "label" else str(kind), (p, y), n))
    calls.insert(0, ("partial_fit", ([0.5, 0.5], [0, 1]), 2))
    return calls


def run_child(
    path: Path, make: Callable[[], Any], calls: list[Any], ends: list[int], out: int
) -> None:
    with Journal(path, make(), snapshot_every=SNAPSHOT_EVERY) as journal:
        for k in range(ends.index(journal.n_rows), len(calls)):
            name, args, _ = calls[k]
            getattr(journal, name)(*args)
            os.write(out, b"%d\n" % (k + 1))


def run_one(
    path: Path,
    make: Callable[[], Any],
    calls: list[Any],
    ends: list[int],
    delay: float | None,
    at_work: bool,
) -> tuple[int, bool]:
    """Run a child; return the calls it acknowledged, and whether it ended before it was killed.

    The delay counts from the start or, with ``at_work``, from the first call acknowledged.
    """
    back, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(back)
        try:
            run_child(path, make, calls, ends, out)
            os._exit(0)
        finally:
            os._exit(3)
    os.close(out)
    with os.fdopen(back, "rb") as pipe:
        first = pipe.readline() if at_work else b""
        if delay is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
        said = (first + pipe.read()).split()
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child failed by itself")
    return int(said[-1]) if said else 0, os.WIFEXITED(status)


def look(path: Path, make: Callable[[], Any]) -> tuple[int, dict[str, Any] | None]:
    """Rows and state in a copy of the file."""
    with tempfile.TemporaryDirectory() as place:
        twin = Path(place) / "copy"
        shutil.copytree(path.parent, twin)
        with Journal(twin / path.name, make()) as journal:
            cal = journal.calibrator_
            return journal.n_rows, to_dict(cal) if hasattr(cal, "classes_") else None


def run_round(seed: int, kills: int, delay: float, say: Callable[[str], None]) -> int:
    """Kill children on one file until it contains all calls; return how many were killed."""
    rng, make, calls = np.random.default_rng(seed), MAKERS[seed % len(MAKERS)], make_calls(seed)
    ends = np.cumsum([0, *(rows for _, _, rows in calls)]).tolist()
    plain, done, acknowledged, killed, finished = make(), 0, 0, 0, False
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "journal" / "state.db"
        path.parent.mkdir()
        while not finished:
            # The last child is not killed.
            wait = None if killed == kills else float(rng.uniform(0.0, delay))
            said, finished = run_one(path, make, calls, ends, wait, bool(rng.random() < 0.7))
            killed += not finished
            acknowledged = max(acknowledged, said)
            n_rows, state = look(path, make)
            on_file = ends.index(n_rows)
            while done < on_file:
                name, args, _ = calls[done]
                getattr(plain, name)(*args)
                done += 1
            same = state == (to_dict(plain) if done else None)
            kept = acknowledged <= on_file <= acknowledged + 1
            how = "finished" if finished else f"killed after {1000 * (wait or 0):4.1f} ms"
            say(
                f"{type(plain).__name__} {how}: acknowledged {acknowledged} calls, on file "
                f"{on_file} ({n_rows} rows), state {'equal' if same else 'DIFFERENT'}"
            )
            if not (same and kept):
                raise SystemExit("FAILED: " + ("states differ" if kept else "calls were lost"))
        if on_file != len(calls):
            raise SystemExit("FAILED: the end was not reached")
    return killed


def run_kills(n: int, seed: int = 0, delay: float = 0.03) -> None:
    """Kill n children, on as many files as needed, and print a line for each."""
    killed = in_round = 0
    while killed < n:
        share = min(n - killed, -(-n // len(MAKERS)))
        killed += run_round(seed + in_round, share, delay, print)
        in_round += 1
    print(f"{killed} children killed on {in_round} files: every acknowledged call was there")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, help="number of processes to kill")
    parser.add_argument("--seed", type=int, default=0, help="seed of the calls and the kills")
    parser.add_argument(
        "--delay", type=float, default=0.03, help="longest time to a kill, in seconds"
    )
    parser.add_argument(
        "--stream", action="store_true", help="kill calibkit stream at random moments"
    )
    parser.add_argument(
        "--faults", action="store_true", help="end it at each point where it writes"
    )
    parser.add_argument("--json", type=Path, help="write the log of --stream, --faults here")
    options = parser.parse_args()
    if options.stream or options.faults:
        log = run_stream_kills(options.kills, seed=options.seed) if options.stream else []
        log += run_stream_faults() if options.faults else []
        if options.json:
            options.json.write_text(json.dumps(log, indent=1) + "\n")
    else:
        run_kills(options.kills, options.seed, options.delay)
