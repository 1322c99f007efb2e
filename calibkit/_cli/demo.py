"""The command ``calibkit demo``: a classifier before and after calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from typer import Option

from .. import __version__
from .._classifier import CalibratedClassifier
from .._report import Problem, Step, facts
from .._tables.files import check_output
from ..metrics import ScoreTable
from . import options as opt
from .console import print_json, progress, show
from .report import check_picture, draw, plain_report, rich_report

_DRAWS = 1000
_N_BINS = 10
_SHOWN = ("expected_calibration_error", "brier_skill_score", "log_loss", "roc_auc")

CODE = """\
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from calibkit import CalibratedClassifier, ReliabilityDisplay, estimate

X, digit = load_digits(return_X_y=True)
odd = digit % 2
X, X_new, y, y_new = train_test_split(
    X, odd, test_size=0.5, stratify=digit, random_state=0
)
forest = RandomForestClassifier(random_state=0)
models = {
    "uncalibrated": forest.fit(X, y),
    "calibrated": CalibratedClassifier(forest).fit(X, y),
}
for name, model in models.items():
    p = model.predict_proba(X_new)
    error = estimate(
        "expected_calibration_error", y_new, p, strategy="quantile", n_bins=10, random_state=0
    )
    print(name, error)
display = ReliabilityDisplay.from_estimator(
    models, X_new, y_new, n_bins=10, random_state=0
)
display.figure_.savefig("calibkit-demo.png", dpi=150)"""


def demo(
    output: Annotated[
        str, Option(metavar="PNG", help="File to write the picture to.")
    ] = "calibkit-demo.png",
    as_json: opt.Json = False,
) -> None:
    """Calibrate a random forest on real data, and show what changes.

    \b
    calibkit demo --output demo.png
    """
    picture = check_output(output)
    check_picture(picture)
    with progress("estimating") as share:
        results = run_demo(picture, step=share)
    results = {"calibkit": __version__, "picture": output, **results}
    seen = [*results["seen"], f"The picture is {output}.", ""]
    code = ["", "In Python:", "", *CODE.splitlines()]
    if as_json:
        print_json(results)
    else:
        table = short_table(results)
        show(
            lambda: [*seen, *rich_report(table), *code],
            lambda: [*seen, *plain_report(table), *code],
        )


def short_table(results: dict[str, Any]) -> dict[str, Any]:
    """The same facts with the metrics that the table shows, without the differences."""
    models = [
        {"name": m["name"], "metrics": {name: m["metrics"][name] for name in _SHOWN}}
        for m in results["models"]
    ]
    return {**results, "comparison": None, "models": models}


def held_out() -> Problem:
    """Held-out labels, with the classifier's probabilities before and after calibration."""
    X, digit = load_digits(return_X_y=True)
    odd = digit % 2
    X, X_new, y, y_new = train_test_split(X, odd, test_size=0.5, stratify=digit, random_state=0)
    forest = RandomForestClassifier(random_state=0)
    # The default calibrator, chosen beforehand and not by the numbers it gives here.
    calibrated = CalibratedClassifier(forest).fit(X, y)
    models = {"uncalibrated": forest.fit(X, y), "calibrated": calibrated}
    scores = {name: model.predict_proba(X_new)[:, 1] for name, model in models.items()}
    return Problem(y_new, scores)


def run_demo(picture: Path | None, *, seed: int = 0, step: Step | None = None) -> dict[str, Any]:
    """Compute the facts of the demo; write the picture if there is a path."""
    problem = held_out()
    # The bins of the picture, so that text, table and picture show one error.
    settings: dict[str, Any] = {"n_bins": _N_BINS, "n_resamples": _DRAWS, "strategy": "quantile"}
    results = facts(problem, seed=seed, step=step, tests=False, **settings)
    if picture is not None:
        draw(problem, picture, results, n_bins=_N_BINS, seed=seed)
    for model in results["models"]:  # one error for each model: that of the picture
        del model["metrics"]["calibration_error"]
    for name in ("verdict", "reading", "power", "proofs", "bounds"):
        del results[name]
    results["file"] = "scikit-learn's digits, held-out rows"
    results["label"] = "odd"
    results["worst_bin"] = worst_bin(problem)
    return {**results, "seen": seen(results)}


def worst_bin(problem: Problem) -> dict[str, float]:
    """The uncalibrated model's bin with the largest gap between predicted and observed."""
    table = ScoreTable.from_arrays(problem.y, problem.models["uncalibrated"])
    bins = table.bins("quantile", _N_BINS)
    worst = np.abs((bins.wp - bins.wy) / bins.w).argmax()
    sums = {"mean_prediction": bins.wp[worst], "observed": bins.wy[worst]}
    return {"n": int(bins.n[worst]), **{k: float(v / bins.w[worst]) for k, v in sums.items()}}


def seen(results: dict[str, Any]) -> list[str]:
    """What was done, before and after; every number comes from the results."""
    before, after = results["models"]
    error, new_error = (m["metrics"]["expected_calibration_error"] for m in (before, after))
    loss, new_loss = (m["metrics"]["log_loss"]["value"] for m in (before, after))
    worst = results["worst_bin"]
    return [
        "A random forest learns whether a digit is odd, on half of scikit-learn's digits. "
        f"These are its probabilities for the other {results['n']:,} digits.",
        f"Before: {worst['n']} digits get a probability of about {worst['mean_prediction']:.2f}, "
        f"but {worst['observed']:.0%} of them are odd. The expected calibration error (ECE) is "
        f"{error['value']:.3f}; a perfectly calibrated model shows up to "
        f"{error['null_high']:.3f} by chance.",
        f"After calibration: the ECE {_change(error['value'], new_error['value'], 3)} (up "
        f"to {new_error['null_high']:.3f} by chance), and the log loss "
        f"{_change(loss, new_loss, 2)}.",
    ]


def _change(before: float, after: float, digits: int) -> str:
    verb = "falls" if after < before else "rises" if after > before else "changes"
    return f"{verb} from {before:.{digits}f} to {after:.{digits}f}"
