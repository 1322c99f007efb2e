"""Compare calibrators of a confidence signal, by the number of rows they are fitted on.

Some defaults were chosen by these results.

    python benchmarks/choices.py --data DIR --json benchmarks/choices.json   # five minutes
    python benchmarks/choices.py --show benchmarks/choices.json              # the tables alone

The groups of each signal (a problem with all its samples) are split into two halves at random. A
calibrator is fitted on n rows of one half and scored on the other, ten times. Known files in DIR:
those of codegen.py, cifar*.npz (confidence in the winning class), fte_games.csv.gz.

With fte_games.csv.gz, online methods are also compared on the dated forecasts of each league: as
they are, and with 20 forecasts (with noisy log-odds) for each game, all made before its outcome is
known.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

import calibkit as ck
import calibkit.online as ol
from calibkit.calibrators import AutoOrPlatt

ROWS = (50, 100, 300, 1000, 3000)
REPEATS, MOST_TEST = 10, 4000
#: Share of the rarer outcome in the second version of each signal, and how its name ends.
RARE, OF_RARE = 0.03, ", 3%"
#: Clip of the log loss of exact 0 and 1, which would be infinite.
TINY = 1e-9


class Signal(NamedTuple):
    name: str
    values: np.ndarray
    correct: np.ndarray
    groups: np.ndarray
    scale: str = "probability"


def humaneval(path: Path) -> Iterator[Signal]:
    data = np.load(path, allow_pickle=False)
    passed = data["passed"]
    task = np.repeat(np.arange(len(passed)), passed.shape[1])
    for name in ("gen_test_rate", "agreement", "duplicates", "code_chars"):
        scale = "score" if name == "code_chars" else "probability"
        values = data[name].ravel().astype(float)
        yield Signal(f"humaneval {name}", values, passed.ravel(), task, scale)


def cruxeval(path: Path) -> Iterator[Signal]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    task, problem = (np.array([r[k] for r in rows]) for k in ("task", "problem"))
    agreement = np.array([float(r["agreement"]) for r in rows])
    correct = np.array([r["correct"] == "1" for r in rows])
    for t in np.unique(task):
        at = task == t
        yield Signal(f"cruxeval {t} agreement", agreement[at], correct[at], problem[at])


def mmlu_pro(path: Path) -> Iterator[Signal]:
    data = np.load(path, allow_pickle=False)
    have = np.flatnonzero(np.isfinite(data["seq_prob"]).mean(axis=1) > 0.9)[::15]
    for m in have:
        for name in ("seq_prob", "verbal", "linguistic", "token_length"):
            values, correct = data[name][m].astype(float), data["correct"][m]
            scale = "score" if name == "token_length" else "probability"
            known = np.isfinite(values) & ((values >= 0) & (values <= 1) | (scale == "score"))
            if known.sum() > 2 * ROWS[-1]:
                rows = np.arange(known.sum())
                label = f"mmlu_pro {data['models'][m]} {name}"
                yield Signal(label, values[known], correct[known], rows, scale)


def cifar(path: Path) -> Iterator[Signal]:
    data = np.load(path, allow_pickle=False)
    if "probs" in data:
        p, y = data["probs"].astype(float), data["labels"]
    else:
        p, y = softmax(data["test_logits"].astype(float), axis=1), data["test_labels"]
    p = p / p.sum(axis=1, keepdims=True)
    yield Signal(path.stem, p.max(axis=1).clip(0, 1), p.argmax(axis=1) == y, np.arange(len(y)))


def games(path: Path) -> Iterator[Signal]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    date = np.array([r["date"] for r in rows])
    p, y = (np.array([float(r[k]) for r in rows]) for k in ("prob", "outcome"))
    yield Signal("games", p, y == 1, date)


FILES: dict[str, Callable[[Path], Iterator[Signal]]] = {
    "humaneval_codegen16b_codet.npz": humaneval,
    "cruxeval_selfconsistency_codellama7b.csv.gz": cruxeval,
    "mmlu_pro_confidence_83models.npz": mmlu_pro,
    "cifar10_resnet50_focal.npz": cifar,
    "cifar100_densenet-bc-100_netcal.npz": cifar,
    "cifar100_lenet-5_netcal.npz": cifar,
    "fte_games.csv.gz": games,
}


def rare(signal: Signal) -> Signal:
    """The signal with rows of the rarer outcome left out, so that they are 3% of the rows."""
    event = signal.correct == (signal.correct.mean() < 0.5)
    rng, rest = np.random.default_rng(0), np.flatnonzero(~event)
    few = rng.permutation(np.flatnonzero(event))[: int(RARE / (1 - RARE) * len(rest))]
    at = np.sort(np.append(rest, few))
    return signal._replace(
        name=f"{signal.name}{OF_RARE}",
        values=signal.values[at],
        correct=signal.correct[at],
        groups=signal.groups[at],
    )


class PlattOrBeta:
    """Platt scaling, or beta calibration if it fits better by two nats of log-likelihood."""

    def __init__(self, scale: Any) -> None:
        self.scale = scale

    def fit(self, s: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Any:
        both = [c(scale=self.scale).fit(s, y) for c in (ck.PlattCalibrator, ck.BetaCalibrator)]
        platt, beta = (np.abs(c.predict_proba(s)[:, 1] - ~y).clip(1e-300) for c in both)
        return both[int(np.log(beta / platt).sum() > 2.0)]


#: Calibrators that evaluate_confidence can use.
MAPS: dict[str, Callable[[Any], Any]] = {
    "platt": lambda s: ck.PlattCalibrator(scale=s),
    "beta": lambda s: ck.BetaCalibrator(scale=s),
    "isotonic": lambda s: ck.IsotonicCalibrator(scale=s),
    "isotonic, centred": lambda s: ck.IsotonicCalibrator(interpolation="centred", scale=s),
    "histogram": lambda s: ck.HistogramBinningCalibrator(scale=s),
    "scaling-binning": lambda s: ck.ScalingBinningCalibrator(ck.PlattCalibrator(scale=s)),
    "temperature": lambda s: ck.TemperatureCalibrator(scale=s),
    "platt or beta": PlattOrBeta,
    "auto": AutoOrPlatt,
}
#: Ways to keep the rates of histogram binning away from 0 and 1.
RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "bare rate": lambda n, k: k / n,
    "smoothing 0.5": lambda n, k: (k + 0.25) / (n + 0.5),
    "smoothing 1": lambda n, k: (k + 0.5) / (n + 1),
    "smoothing 2": lambda n, k: (k + 1) / (n + 2),
    "smoothing 4": lambda n, k: (k + 2) / (n + 4),
    "floor 1 / (rows of bin + 2)": lambda n, k: (k / n).clip(1 / (n + 2), 1 - 1 / (n + 2)),
    "floor 1 / (all rows + 2)": lambda n, k: (k / n).clip(1 / (n.sum() + 2), 1 - 1 / (n.sum() + 2)),
    "2 rows of the base rate": lambda n, k: (k + 2 * k.sum() / n.sum()) / (n + 2),
}


def losses(q: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Brier score, log loss, and whether it is infinite."""
    own = np.where(y, q, 1 - q)
    return (
        float(np.mean((q - y) ** 2)),
        float(-np.log(own.clip(TINY)).mean()),
        float(own.min() <= 0),
    )


def parts(signal: Signal, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on, and rows of other groups to score on."""
    code = np.unique(signal.groups, return_inverse=True)[1]
    side = rng.permuted(np.arange(code.max() + 1) % 2)[code]
    train, test = (rng.permutation(np.flatnonzero(side == k)) for k in (0, 1))
    return train[:n], test[:MOST_TEST]


def judge(signal: Signal) -> dict[str, dict[str, list[float]]]:
    """Mean losses of each calibrator and each histogram rule at each n, over repetitions."""
    rng = np.random.default_rng(0)
    scale = "probability" if signal.scale == "probability" else "logit"
    found: dict[str, dict[str, list[float]]] = {}
    for n in ROWS:
        sums: dict[str, np.ndarray] = {}
        for _ in range(REPEATS):
            train, test = parts(signal, n, rng)
            s, y, t, z = (a[i] for i in (train, test) for a in (signal.values, signal.correct))
            g = signal.groups[train]
            if len(train) < n or y.min() == y.max():
                continue
            forecasts = {
                name: make(scale).fit(s, y, groups=g).predict_proba(t)[:, 1]
                for name, make in MAPS.items()
            }
            bins = ck.HistogramBinningCalibrator(scale=scale).fit(s, y)
            at = bins.predict_bin(t)
            for name, rule in RULES.items():
                forecasts[name] = rule(bins.count_, bins.events_)[at]
            forecasts["base rate"] = np.full(len(t), y.mean())
            for name, q in forecasts.items():
                sums[name] = sums.get(name, 0) + np.array([*losses(q, z), 1.0])
        if sums and (many := sums["platt"][-1]) >= REPEATS / 2:
            found[str(n)] = {
                k: [round(float(x), 6) for x in v[:-1] / many] for k, v in sums.items()
            }
    return found


#: Online methods that are compared.
ONLINE: dict[str, Callable[[], Any]] = {
    "online Platt": ol.OnlinePlattCalibrator,
    "online beta": ol.OnlineBetaCalibrator,
    "adaptive Platt": ol.AdaptivePlattCalibrator,
    "tracking, online Platt, smoothing 0": lambda: ol.TrackingCalibrator(smoothing=0),
    "tracking, online Platt": ol.TrackingCalibrator,
    "tracking, online beta": lambda: ol.TrackingCalibrator(ol.OnlineBetaCalibrator()),
    "tracking, adaptive Platt, smoothing 0": lambda: ol.TrackingCalibrator(
        ol.AdaptivePlattCalibrator(), smoothing=0
    ),
    "tracking, adaptive Platt": lambda: ol.TrackingCalibrator(ol.AdaptivePlattCalibrator()),
}
SHARING = 20


def stream_losses(q: np.ndarray, y: np.ndarray) -> list[float]:
    """Calibration error in ten bins, log loss, and number of certain and wrong forecasts."""
    own = np.where(y == 1, q, 1 - q)
    error = ck.expected_calibration_error(y, q, n_bins=10)
    return [round(float(v), 5) for v in (error, -np.log(own.clip(TINY)).mean(), (own <= 0).sum())]


def streams(path: Path) -> dict[str, Any]:
    """Losses of each method on each league, with one and with many forecasts of a game."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda r: r["date"])
    found: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for league in sorted({r["league"] for r in rows}):
        own = [r for r in rows if r["league"] == league]
        p = np.array([float(r["prob"]) for r in own]).clip(1e-4, 1 - 1e-4)
        y = np.array([int(r["outcome"]) for r in own])
        z = (np.log(p / (1 - p)) + rng.normal(0, 0.5, (SHARING, len(p)))).T[:1500]
        many, shared = 1 / (1 + np.exp(-z)), np.repeat(y[:1500, None], SHARING, axis=1)
        found[league] = {"raw": stream_losses(p, y)}
        alike = found[f"{league}, {SHARING} forecasts a game"] = {
            "raw": stream_losses(many.ravel(), shared.ravel())
        }
        for name, make in ONLINE.items():
            found[league][name] = stream_losses(make().predict_then_update(p, y)[:, 1], y)
            model, q = make().partial_fit([], [], classes=[0, 1]), np.empty(many.shape)
            for i, (forecasts, outcomes) in enumerate(zip(many, shared, strict=True)):
                q[i] = model.predict_proba(forecasts)[:, 1]
                model.partial_fit(forecasts, outcomes)
            alike[name] = stream_losses(q.ravel(), shared.ravel())
    return found


#: Names in the tables of keys in the JSON file.
SHOWN = {"raw": "uncalibrated"}


def stream_table(found: dict[str, Any]) -> Iterator[str]:
    yield "| CE / log loss | " + " | ".join(found) + " |"
    yield "|---" * (len(found) + 1) + "|"
    for name in next(iter(found.values())):
        cells = []
        for losses in found.values():
            error, log_loss, certain = losses[name]
            cells.append(
                f"{error:.4f} / {log_loss:.4f}" + (f" ({certain:.0f} inf)" * (certain > 0))
            )
        yield f"| {SHOWN.get(name, name)} | {' | '.join(cells)} |"


def table(found: dict[str, Any], names: list[str], reference: str) -> Iterator[str]:
    """Losses minus those of the reference, and the number of signals where each one is best."""
    heads = [f"n = {n}" for n in ROWS]
    yield f"| difference from `{reference}` | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    of_n = {n: [s[str(n)] for s in found.values() if str(n) in s] for n in ROWS}
    for name in names:
        cells = []
        for rows in of_n.values():
            brier, log_loss = (
                np.array([r[name][i] - r[reference][i] for r in rows]) for i in (0, 1)
            )
            best = [min(names, key=lambda m, r=r: r[m][0]) == name for r in rows]
            infinite = np.mean([r[name][2] for r in rows])
            cell = f"{1e4 * brier.mean():.1f} / {1e3 * log_loss.mean():.1f}, best on {sum(best)}"
            cells.append(cell + (f" (inf {infinite:.0%})" if infinite else ""))
        yield f"| {name} | {' | '.join(cells)} |"
    yield f"| signals | {' | '.join(str(len(rows)) for rows in of_n.values())} |"


def _in_lines(kept: dict[str, Any]) -> str:
    """JSON with one line for each data set."""
    parts = [
        json.dumps(name)
        + ": {\n"
        + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in of.items())
        for name, of in kept.items()
    ]
    return "{\n" + "\n},\n".join(parts) + "\n}\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, help="directory of the real files; required without --show"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--show", type=Path, help="print the results of this file")
    options = parser.parse_args()
    if not (options.show or options.data):
        parser.error("pass --data DIR to compute the results, or --show FILE to print them")
    warnings.simplefilter("ignore")
    if options.show:
        kept = json.loads(options.show.read_text())
    else:
        kept = {"maps": {}, "streams": {}}
        if (games_file := options.data / "fte_games.csv.gz").exists():
            kept["streams"] = streams(games_file)
        for file, read in FILES.items():
            for signal in read(options.data / file) if (options.data / file).exists() else ():
                for version in (signal, rare(signal)):
                    kept["maps"][version.name] = judge(version)
                print(signal.name, flush=True)
        if options.json:
            options.json.write_text(_in_lines(kept))
    found = kept["maps"]
    print("Cells: Brier score (1e-4) / log loss (1e-3); streams: calibration error / log loss")
    for of_rare, said in ((False, ""), (True, ", the rarer outcome in 3% of the rows")):
        part = {k: v for k, v in found.items() if k.endswith(OF_RARE) == of_rare}
        print(f"\n## Calibrators{said}\n", *table(part, list(MAPS), "platt"), sep="\n")
        print(f"\n## Histogram binning with 10 bins{said}\n")
        print(*table(part, list(RULES), "smoothing 1"), sep="\n")
    for alike in (False, True):
        part = {k: v for k, v in kept["streams"].items() if k.endswith("a game") == alike}
        print("\n## Streams\n", *stream_table(part), sep="\n")


if __name__ == "__main__":
    main()
