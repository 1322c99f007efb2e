"""Run exports of random fitted objects in every engine that is here, and compare them.

    python benchmarks/exports.py --show               # prints the stored results of exports.json
    python benchmarks/exports.py --objects 200 --json benchmarks/exports.json      # measures again
    python benchmarks/exports.py --engines onnx c --classes PlattCalibrator --objects 5

Scores are those of ``golden_vectors``: borders of bins and the floats beside them, exact 0 and 1,
numbers out of range, NaN, and random ones. The first table has the largest difference from what the
object gives, by engine and class; behind it the number of rows with another label or decision, or
with a result that is missing on one side only, and of objects with another bin. The second
has the median size of the code. Compiled languages get 20 objects of each class, in one unit.
Results are stored after each class and engine, and a later run adds to them.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

import calibkit as ck
from calibkit import export
from calibkit.base import InputError
from calibkit.decisions import (
    BorrowedCalibrator,
    DecisionRule,
    QuantileCalibrator,
    RiskControlledThreshold,
    TriagePolicy,
)
from calibkit.export._check import compared
from calibkit.export._code import LANGUAGES
from calibkit.export._drivers import run_unit
from calibkit.export._golden import ENGINES, golden_vectors, rounded
from calibkit.export._maps import _MAPS, program_of
from calibkit.export._onnx import run_onnxruntime

RESULTS = Path(__file__).with_suffix(".json")
COMPILED = ("c", "java", "rust")
#: Objects that are compiled together.
UNIT = 20
SQL = [name for name in ENGINES if name not in LANGUAGES and name != "onnx"]
NAMES = ["python", "javascript", *COMPILED, "onnx", "onnx float32", *SQL]
BINARY = [ck.PlattCalibrator(), ck.IsotonicCalibrator(), ck.BetaCalibrator()]
BINARY += [ck.HistogramBinningCalibrator(), ck.ScalingBinningCalibrator()]


# -- random fitted objects -----------------------------------------------------------------------


def scores_and_labels(rng: np.random.Generator, k: int, scale: str) -> tuple[Any, Any]:
    n = int(rng.integers(60, 600))
    z = rng.uniform(0.5, 4.0) * rng.normal(size=(n, k)) + rng.normal(size=k)
    if rng.random() < 0.3:  # ties
        z = np.round(z, 1)
    y = (rng.uniform(0.2, 1.2) * z + rng.gumbel(size=(n, k))).argmax(axis=1)
    y[-k:] = np.arange(k)
    if k > 2:
        return (z if scale == "logit" else softmax(z, axis=1)), y
    gap = z[:, 1] - z[:, 0]
    return (gap if scale == "logit" else expit(gap)), y


def calibrator(cls: Any, rng: np.random.Generator, k: int) -> Any:
    if "lift" not in cls._traits:
        examples = list(cls._examples())
    else:
        part = BINARY[rng.integers(len(BINARY))]
        first = ck.TemperatureCalibrator() if rng.random() < 0.3 else None
        examples = [cls(clone(part), first=first)]
    scale = "logit" if rng.random() < 0.5 else "probability"
    made = clone(examples[rng.integers(len(examples))])._set_scale(scale)
    return made.fit(*scores_and_labels(rng, k, scale))


def decision(cls: type, rng: np.random.Generator) -> Any:
    signal = rng.beta(rng.uniform(1, 5), 1, 400)
    right = rng.random(400) < signal
    gate = RiskControlledThreshold(max_error=rng.uniform(0.05, 0.4)).fit(signal, right)
    costs = rng.uniform(1, 9, 3)
    policy = TriagePolicy(cost_accept_wrong=10, cost_review=costs[0], cost_discard_right=costs[1])
    if cls is DecisionRule:
        both = [{"threshold": gate}, {"policy": policy}, {"threshold": gate, "policy": policy}]
        return DecisionRule("s", ck.PlattCalibrator().fit(signal, right), **both[rng.integers(3)])
    if cls is QuantileCalibrator:
        return QuantileCalibrator().fit(signal, rng.binomial(8, signal) / 8, n_trials=8)
    return gate if cls is RiskControlledThreshold else policy


def classifier(rng: np.random.Generator) -> Any:
    k, seed = int(rng.integers(2, 5)), int(rng.integers(2**31))
    X, y = make_classification(300, n_classes=k, n_informative=5, random_state=seed)
    method = ["predict_proba", "decision_function"][rng.integers(2)]
    part = ["auto", "platt", "beta"][rng.integers(3)]
    made = ck.CalibratedClassifier(
        LogisticRegression(C=0.1), part, ensemble=True, response_method=method, cv=3
    )
    return made.fit(X, y)


def cases() -> dict[str, tuple[Any, bool]]:
    """Classes by the name of their row, and whether it is for more than two classes."""
    found: dict[str, tuple[Any, bool]] = {}
    for cls in sorted(_MAPS, key=lambda cls: cls.__name__):
        found[cls.__name__] = cls, False
        if "multiclass" in cls._traits:
            found[f"{cls.__name__}, K classes"] = cls, True
    others = [ck.CalibratedClassifier, DecisionRule, QuantileCalibrator, RiskControlledThreshold]
    return found | {cls.__name__: (cls, False) for cls in [*others, TriagePolicy]}


def objects(name: str, number: int) -> Iterator[Any]:
    cls, many = cases()[name]
    for seed in range(number):
        rng = np.random.default_rng([seed, sum(map(ord, name))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if cls in _MAPS and cls is not BorrowedCalibrator:
                yield calibrator(cls, rng, int(rng.integers(3, 9)) if many else 2)
            elif cls is BorrowedCalibrator:
                part = calibrator(type(BINARY[rng.integers(3)]), rng, 2)
                yield BorrowedCalibrator(part).fit(*scores_and_labels(rng, 2, part._input_scale()))
            else:
                yield classifier(rng) if cls is ck.CalibratedClassifier else decision(cls, rng)


# -- engines -------------------------------------------------------------------------------------


def run(engine: str, some: list[Any], rows: list[Any]) -> tuple[list[Any], list[int]]:
    """Results of each object, None where it was refused; and the sizes of the code."""
    if engine in LANGUAGES:
        write = getattr(export, f"to_{engine}")
        codes = [write(obj, name=f"f{i}", labels=True) for i, obj in enumerate(some)]
        return run_unit(codes, rows), [len(code.encode()) for code in codes]
    results: list[Any] = []
    sizes = []
    for obj, columns in zip(some, rows, strict=True):
        try:
            if engine.startswith("onnx"):
                dtype = engine.partition(" ")[2] or "float64"
                model = export.to_onnx(obj, dtype=dtype, labels=True)
                sizes.append(model.ByteSize())
                results.append(run_onnxruntime(model, columns))
            else:
                code = export.to_sql(obj, dialect=engine, table="t", keep="row", labels=True)
                sizes.append(len(code.encode()))
                results.append(ENGINES[engine][0](code, columns))
        except InputError:
            results.append(None)
    return results, sizes


def measure(engine: str, some: list[Any], made: list[Any], n: int) -> dict[str, Any]:
    start = time.perf_counter()
    single = engine.endswith("float32")
    if engine in COMPILED:
        some = some[:UNIT]
    made = [rounded(o, m[0]) if single else m for o, m in zip(some, made, strict=False)]
    results, sizes = run(engine, some, [columns for columns, _ in made])
    checks = [
        compared(program_of(obj, labels=True), found, wanted, 1e-6 if single else 1e-12)
        for obj, (_, wanted), found in zip(some, made, results, strict=True)
        if found is not None
    ]
    return {
        "objects": len(checks),
        "refused": len(some) - len(checks),
        "scores": n,
        "largest": max((c.largest_difference for c in checks), default=None),
        "other": sum(c.n_other + (c.bins_exact is False) for c in checks),
        "bytes": int(np.median(sizes)) if sizes else None,
        "seconds": round(time.perf_counter() - start, 1),
    }


# -- tables --------------------------------------------------------------------------------------


def cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return ""
    if result["largest"] is None:
        return "refused"
    text = f"{result['largest']:.1e}" if result["largest"] else "0"
    return text + (f" ({result['other']} OTHER)" if result["other"] else "")


def show(stored: dict[str, Any]) -> None:
    print("; ".join(f"{k}: {v}" for k, v in stored["engines"].items()) + "\n")
    names = [e for e in NAMES if any(e in row for row in stored["results"].values())]
    for title, write in (
        ("largest difference", cell),
        ("median size in bytes", lambda r: f"{r['bytes']:,}" if r and r["bytes"] else ""),
        ("objects x scores", lambda r: f"{r['objects']} x {r['scores']}" if r else ""),
    ):
        print(f"| {title} | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
        for name, row in stored["results"].items():
            print(f"| {name} | " + " | ".join(write(row.get(e)) for e in names) + " |")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--scores", type=int, default=10_000)
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--classes", nargs="+", choices=list(cases()), default=list(cases()))
    parser.add_argument("--json", type=Path, help="where to store the results")
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    stored: dict[str, Any] = {"engines": {}, "results": {}}
    if args.show or (args.json and args.json.exists()):
        stored = json.loads((args.json or RESULTS).read_text())
    for engine in [] if args.show else list(args.engines):
        try:
            stored["engines"][engine] = ENGINES[engine.split()[0]][1]()
        except (InputError, ImportError) as error:
            print(f"{engine}: {error}")
            args.engines.remove(engine)
    for name in [] if args.show else args.classes:
        some = list(objects(name, args.objects))
        made = [golden_vectors(obj, args.scores, labels=True) for obj in some]
        for engine in args.engines:
            result = measure(engine, some, made, args.scores)
            stored["results"].setdefault(name, {})[engine] = result
            print(f"{engine}, {name}: {cell(result)}, {result['seconds']} s", flush=True)
            if args.json:
                args.json.write_text(json.dumps(stored, indent=1) + "\n")
    show(stored)


if __name__ == "__main__":
    main()
