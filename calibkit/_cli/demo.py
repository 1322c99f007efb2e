"""The command ``calibkit demo``: a badly calibrated classifier, before and after."""

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
from .._tables.files import check_output
from ..metrics import ScoreTable
from . import options as opt
from .console import progress
from .problem import Problem
from .report import Step, check_picture, draw, facts, is_miscalibrated, show_report

_DRAWS = 1000
_N_BINS = 10

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
    "raw": forest.fit(X, y),
    "platt": CalibratedClassifier(forest, "platt").fit(X, y),
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
        str, Option(metavar="PNG", help="Where to draw the picture.")
    ] = "calibkit-demo.png",
    as_json: opt.Json = False,
) -> None:
    """A real, badly calibrated classifier, before and after: numbers and picture.

    \b
    calibkit demo --output demo.png
    """
    picture = check_output(output)
    check_picture(picture)
    with progress("estimating") as share:
        results = run_demo(picture, step=share)
    results = {"calibkit": __version__, "picture": output, **results}
    said = ["", *results["seen"], "", f"Picture: {output}", "", "The same in Python:", ""]
    said += CODE.splitlines()
    show_report(results, said, said, as_json=as_json)


def held_out() -> Problem:
    """Held-out labels, and their probabilities by the raw and the calibrated classifiers."""
    X, digit = load_digits(return_X_y=True)
    odd = digit % 2
    X, X_new, y, y_new = train_test_split(X, odd, test_size=0.5, stratify=digit, random_state=0)
    forest = RandomForestClassifier(random_state=0)
    # The default calibrator, chosen beforehand and not by the numbers it gives here.
    calibrated = CalibratedClassifier(forest, "platt").fit(X, y)
    models = {"raw": forest.fit(X, y), "platt": calibrated}
    scores = {name: model.predict_proba(X_new)[:, 1] for name, model in models.items()}
    return Problem(y_new, scores)


def run_demo(picture: Path | None, *, seed: int = 0, step: Step | None = None) -> dict[str, Any]:
    """Facts of the demo; the picture is written if there is a path for it."""
    problem = held_out()
    # The bins of the picture, so that text, table and picture show one error.
    results = facts(
        problem, n_bins=_N_BINS, n_resamples=_DRAWS, seed=seed, strategy="quantile", step=step
    )
    if picture is not None:
        draw(problem, picture, results, n_bins=_N_BINS, seed=seed)
    results["file"] = "is a digit odd? scikit-learn's digits, a random forest, held-out rows"
    results["worst_bin"] = worst_bin(problem)
    return {**results, "seen": seen(results)}


def worst_bin(problem: Problem) -> dict[str, float]:
    """The raw model's bin with the largest gap between what was said and what happened."""
    table = ScoreTable.from_arrays(problem.y, problem.models["raw"])
    bins = table.bins("quantile", _N_BINS)
    worst = np.abs((bins.wp - bins.wy) / bins.w).argmax()
    sums = {"mean_prediction": bins.wp[worst], "observed": bins.wy[worst]}
    return {"n": int(bins.n[worst]), **{k: float(v / bins.w[worst]) for k, v in sums.items()}}


def seen(results: dict[str, Any]) -> list[str]:
    """Two sentences, all of whose claims are read off the numbers."""
    raw, new = (m["metrics"]["expected_calibration_error"] for m in results["models"])
    loss, new_loss = (m["metrics"]["log_loss"]["value"] for m in results["models"])
    worst, name = results["worst_bin"], results["models"][1]["name"]
    verdict = "more than" if is_miscalibrated(raw) else "no more than"
    before = (
        f"Before: the forest calls {worst['n']} of {results['n']:,} held-out digits odd with a "
        f"probability of about {worst['mean_prediction']:.2f}; {worst['observed']:.0%} of them "
        f"are. Its ECE of {raw['value']:.3f} is {verdict} noise, which alone gives up to "
        f"{raw['null_high']:.3f}."
    )
    noisy = is_miscalibrated(new)
    left = f"more than noise is left with {name}" if noisy else "what is left may be noise"
    after = (
        f"After: with {name} the ECE {_change(raw['value'], new['value'], 3)} (noise alone gives "
        f"up to {new['null_high']:.3f}: {left}), and the log loss {_change(loss, new_loss, 2)}."
    )
    return [before, after]


def _change(before: float, after: float, digits: int) -> str:
    verb = "falls" if after < before else "rises" if after > before else "changes"
    return f"{verb} from {before:.{digits}f} to {after:.{digits}f}"
