"""Wrong calls across the public API, made by a rule, and what is said of each.

``python -m tests.golden`` writes what is said now to ``tests/data/messages.json``; the test of
``test_messages.py`` compares. A call that is taken without a word is not kept.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

import calibkit
from calibkit import PlattCalibrator, codegen
from calibkit.online import MultiStreamCalibrator, TrackingCalibrator

from .registry import LIFTS, PLAIN

GOLDEN = Path(__file__).parent / "data" / "messages.json"
RNG = np.random.default_rng(0)
P = np.round(RNG.random(60), 3)
Y = (RNG.random(60) < P).astype(int)
W = np.ones(60)
P3 = np.tile([0.2, 0.3, 0.5], (60, 1))

Call = Callable[..., Any]

#: Values in the place of any setting.
SETTINGS: dict[str, Any] = {
    "number": -7.5,
    "text": "x",
    "numbers": [-7.5, 2],
    "None": None,
    "huge": 10**30,
    "flag": True,
}


def _with(values: Any, row: int, value: Any) -> Any:
    values = list(values)
    return [*values[:row], value, *values[row + 1 :]]


#: What may be wrong with a column.
COLUMNS: dict[str, Call] = {
    "None": lambda a: None,
    "number": lambda a: 0.5,
    "empty": lambda a: [],
    "short": lambda a: a[:-1],
    "NaN": lambda a: _with(a, 3, np.nan),
    "inf": lambda a: _with(a, 4, np.inf),
    "high": lambda a: _with(a, 5, 7.25),
    "negative": lambda a: _with(a, 6, -1.0),
    "mixed": lambda a: _with(a, 7, "x"),
    "texts": lambda a: ["a", "b", "c"] * (len(a) // 3),
    "columns": lambda a: np.full((len(a), 3), 0.5),
    "masked": lambda a: np.ma.masked_array(np.zeros(len(a)), [True] + [False] * (len(a) - 1)),
    "constant": lambda a: np.ones(len(a), dtype=int),
    "complex": lambda a: np.full(len(a), 1j),
}


def _methods(example: Any) -> Iterator[tuple[str, Call, dict[str, Any]]]:
    p = P3 if "multiclass" in example._traits and "binary" not in example._traits else P
    y = np.arange(60) % 3 if p is P3 else Y
    name = repr(example).replace("\n", "")
    taught = {} if "online" in example._traits else {"sample_weight": W}
    data = {"X": p, "y": y, **taught}
    yield f"{name}.fit", lambda **k: clone(example).fit(**k), data
    yield f"{name}.predict_proba", lambda X: clone(example).fit(p, y).predict_proba(X), {"X": p}
    yield f"{name} unfitted", lambda X: clone(example).predict_proba(X), {"X": p}
    if taught:
        settings = example.get_params(deep=False)
        yield f"{name} with", lambda **k: clone(example).set_params(**k).fit(p, y), settings
        return
    for method in ("partial_fit", "predict_then_update"):
        yield f"{name}.{method}", lambda m=method, **k: getattr(clone(example), m)(**k), data
    settings = {"classes": None, **example.get_params(deep=False)}
    yield f"{name} with", lambda **k: clone(example).set_params(**k).partial_fit(p, y), settings
    late = {"ids": list(range(60)), "X": p}
    yield f"{name}.forecast", lambda **k: clone(example).forecast(**k), late

    def label(**k: Any) -> Any:
        cal = clone(example)
        cal.forecast(**late)
        return cal.label(**k)

    yield f"{name}.label", label, {"ids": list(range(60)), "y": y}


def _streams() -> Iterator[tuple[str, Call, dict[str, Any]]]:
    rows = {"X": P, "y": Y, "stream": np.arange(60) % 3}
    for method in ("partial_fit", "predict_then_update"):
        call = lambda m=method, **k: getattr(MultiStreamCalibrator(), m)(**k)  # noqa: E731
        yield f"MultiStreamCalibrator.{method}", call, rows


FILES = {
    "empty": "",
    "text": "no JSON\n",
    "list": "[1, 2]\n",
    "other": '{"a": 1}\n',
    "two": '{"task_id": "a", "completion": "x", "logprobs": [-0.1]}\n{"task_id": "a"\n',
    "above": '{"task_id": "a", "completion": "x", "logprobs": [0.5]}\n',
    "typed": '{"task_id": "a", "completion": "x", "logprobs": ["y"]}\n',
    "bare": '{"task_id": "a", "completion": "x"}\n',
    "results": '{"task_id": "a", "completion": "x", "passed": "perhaps"}\n',
    "saved": '{"format": "calibkit", "version": 9}',
    "NUL": "\0\0",
}


def _read(read: Call, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(text)
        try:
            read(path)
        except (ValueError, TypeError) as error:
            error.args = (error.args[0].replace(folder, "FOLDER"),)
            raise


def _from_sql(**given: Any) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (y, p, w, g)")
        rows = zip(Y.tolist(), P.tolist(), W.tolist(), "ab" * 30, strict=True)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        calibkit.ScoreTable.from_sql(connection, **given)


def _all_calls() -> Iterator[tuple[str, Call, dict[str, Any]]]:
    from .test_messages import CALLS

    yield from ((name, *given) for name, given in CALLS.items())
    for example in [*PLAIN, *LIFTS]:
        yield from _methods(example)
    yield from _streams()
    names = {"query_or_table": "t", "label": "y", "score": "p", "weight": "w", "by": "g"}
    settings = {"n_bins": 15, "n_cells": 4096, "weights": "sampling", "pos_label": 1}
    yield "ScoreTable.from_sql", _from_sql, {**names, **settings}


def calls() -> dict[str, Callable[[], Any]]:
    """Every wrong call by its name."""
    out: dict[str, Callable[[], Any]] = {}
    for name, call, given in _all_calls():
        for argument, value in given.items():
            column = isinstance(value, np.ndarray) or (isinstance(value, list) and len(value) > 5)
            spoilt = {k: f(list(value)) for k, f in COLUMNS.items()} if column else SETTINGS
            for kind, wrong in spoilt.items():
                told = {**given, argument: wrong}
                out[f"{name}({argument}: {kind})"] = lambda c=call, t=told: c(**t)
        known = list(given)[:2]
        if len(known) == 2:
            a, b = known
            told = {**given, a: given[b], b: given[a]}
            out[f"{name}({a} and {b} swapped)"] = lambda c=call, t=told: c(**t)
    for reader in (codegen.read_generations, codegen.read_results, calibkit.load):
        for kind, text in FILES.items():
            out[f"{reader.__name__}(file: {kind})"] = lambda r=reader, t=text: _read(r, t)
    for kind, value in SETTINGS.items():
        out[f"to_dict({kind})"] = lambda v=value: calibkit.to_dict(v)
        out[f"from_dict({kind})"] = lambda v=value: calibkit.from_dict(v)
        out[f"get_scorer({kind})"] = lambda v=value: calibkit.get_scorer(v)
        out[f"make_calibrator({kind})"] = lambda v=value: calibkit.make_calibrator(v)
    merged = (PlattCalibrator().fit(P, Y), TrackingCalibrator())
    weighted = calibkit.ScoreTable.from_arrays(Y, P, sample_weight=np.arange(len(Y)) + 1.0)
    out["certify(a table with weights)"] = lambda: calibkit.certify(weighted)
    fractions = calibkit.ScoreTable.from_arrays(np.full(len(Y), 0.25), P)
    out["certify(a table with fractions)"] = lambda: calibkit.certify(fractions)
    pairs = np.arange(len(Y)) // 2
    out["certify(continuous scores in groups)"] = lambda: calibkit.certify(Y, P, groups=pairs)
    out["ScoreTable + another"] = lambda: calibkit.ScoreTable.from_arrays(Y, P) + merged[0]
    out["to_dict(unfitted)"] = lambda: calibkit.to_dict(merged[1])
    return out


def said(call: Callable[[], Any]) -> list[str]:
    """Warnings of a call, and how it is refused, if it is in our words."""
    words: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except (ValueError, TypeError) as error:
            words.append(str(error))
        except Exception:
            return []
    return [str(w.message) for w in caught if issubclass(w.category, UserWarning)] + words


def _pattern(words: list[str]) -> str:
    """What is said, less who says it and of what."""
    return re.sub(r"\d+|'[^']*'", "#", " ".join(w.partition(": ")[2] for w in words))


def main() -> None:
    """Write what is said now: each message once, and one of each call."""
    golden: dict[str, list[str]] = {}
    times: Counter[str] = Counter()
    calls_seen: Counter[str] = Counter()
    for name, call in calls().items():
        of, words = name.partition("(")[0], said(call)
        key = _pattern(words)
        if "not supported between" in key:
            continue  # in the order of a set
        if words and (times[key] < 1 or calls_seen[of] < 1):
            times[key] += 1
            calls_seen[of] += 1
            golden[name] = words
    GOLDEN.write_text(json.dumps(golden, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
