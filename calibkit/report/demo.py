"""The demo: a real classifier that is badly calibrated, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from .._classifier import CalibratedClassifier
from .facts import Step, facts
from .pictures import draw
from .problem import Problem

#: Draws: enough for a demo, which has K-class scores to draw rows of.
_DRAWS = 500
#: Chosen beforehand, as the two most used, and not by the numbers they give here.
CALIBRATORS = ("platt", "isotonic")

CODE = """\
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from calibkit import CalibratedClassifier, ReliabilityDisplay, estimate

X, y = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
models = {"raw": GaussianNB().fit(X, y)}
for name in ("platt", "isotonic"):
    models[name] = CalibratedClassifier(GaussianNB(), name).fit(X, y)
scores = {name: m.predict_proba(X_new) for name, m in models.items()}
settings = {"kind": "top_label", "random_state": 0}
for name, p in scores.items():
    print(name, estimate("calibration_error", y_new, p, **settings))
display = ReliabilityDisplay.from_predictions(y_new, scores, **settings)
display.figure_.savefig("calibkit-demo.png", dpi=150)"""


def held_out() -> Problem:
    """Held-out labels, and their probabilities by the raw and the calibrated classifiers."""
    X, y = load_digits(return_X_y=True)
    X, X_new, y, y_new = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    models: dict[str, Any] = {"raw": GaussianNB().fit(X, y)}
    for name in CALIBRATORS:
        models[name] = CalibratedClassifier(GaussianNB(), name).fit(X, y)
    scores = {name: model.predict_proba(X_new) for name, model in models.items()}
    return Problem(y_new, scores, classes=np.unique(y))


def run_demo(picture: Path | None, *, seed: int = 0, step: Step | None = None) -> dict[str, Any]:
    """Facts of the demo; the picture is written if there is a path for it."""
    problem = held_out()
    found = facts(problem, n_resamples=_DRAWS, seed=seed, step=step)
    if picture is not None:
        draw(problem, picture, kind=found["kind"], n_bins=15, level=found["level"], seed=seed)
    found["file"] = "scikit-learn's digits, GaussianNB, held-out rows"
    return {**found, "seen": seen(found)}


def seen(found: dict[str, Any]) -> list[str]:
    """Two sentences, all of whose claims are read off the numbers."""
    raw, *others = found["models"]
    errors = [m["metrics"]["calibration_error"] for m in found["models"]]
    gap = raw["mean_prediction"] - raw["base_rate"]
    manner = "too sure of itself" if gap > 0 else "not sure enough of itself"
    if errors[0]["value"] <= errors[0]["null_high"]:
        manner = "no worse than a calibrated classifier would look on these rows"
    before = (
        f"Before: GaussianNB gives its answers a mean confidence of {raw['mean_prediction']:.1%} "
        f"and is right in {raw['base_rate']:.1%} of {found['n']:,} held-out rows: {manner}."
    )
    values = [e["value"] for e in errors]
    losses = [m["metrics"]["log_loss"]["value"] for m in found["models"]]
    noisy = [
        m["name"] for m, e in zip(others, errors[1:], strict=True) if e["value"] > e["null_high"]
    ]
    left = f"more than noise is left with {_and(noisy)}" if noisy else "what is left may be noise"
    noise = _and([f"{e['null_high']:.3f}" for e in errors[1:]])
    after = (
        f"After: with {_and([m['name'] for m in others])} the RMS calibration error "
        f"{_change(values, 3)} (noise alone gives up to {noise}: {left}), and the log loss "
        f"{_change(losses, 2)}."
    )
    return [before, after]


def _change(values: list[float], digits: int) -> str:
    first, *rest = values
    falls, rises = all(v < first for v in rest), all(v > first for v in rest)
    verb = "falls" if falls else "rises" if rises else "changes"
    return f"{verb} from {first:.{digits}f} to {_and([f'{v:.{digits}f}' for v in rest])}"


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
