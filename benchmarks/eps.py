"""Compare choices of ``eps``, the limit for scores close to 0 and 1 in Platt scaling.

Prints the held-out log loss for fixed values of ``eps`` and for ``eps="auto"``, which places scores
of 0 and 1 at half the distance of the outermost other score. Takes half a minute. Each data set
comes with scikit-learn or is simulated.

    python benchmarks/eps.py
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from calibkit import CalibrationWarning, PlattCalibrator, log_loss

CHOICES = ["auto", 1e-2, 1e-3, 1e-4, 1e-6, 1e-9, 1e-12, 1e-15]
N_SPLITS = 10


#: The last case is fitted to scores between .1 and .9 only, and scored on all.
UNSURE = "10 trees, fitted on .1 to .9"


def cases() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, scores and labels of rows that the classifier has not seen."""
    X, labels = make_classification(20_000, 20, n_informative=8, flip_y=0.05, random_state=0)
    y = labels
    fit, rest = slice(4000), slice(4000, None)
    for trees in (10, 100):
        forest = RandomForestClassifier(trees, random_state=0).fit(X[fit], y[fit])
        yield f"forest of {trees} trees", forest.predict_proba(X[rest])[:, 1], y[rest]
    votes = KNeighborsClassifier(7).fit(X[fit], y[fit])
    yield "7 nearest neighbors", votes.predict_proba(X[rest])[:, 1], y[rest]
    digits, label = load_digits(return_X_y=True)
    bayes = GaussianNB().fit(digits[:600], label[:600] % 2)
    yield "naive Bayes, odd digits", bayes.predict_proba(digits[600:])[:, 1], label[600:] % 2
    rng = np.random.default_rng(0)
    z = rng.normal(scale=12, size=20_000)
    y = (rng.random(len(z)) < 1 / (1 + np.exp(-0.3 * z))).astype(int)
    p = 1 / (1 + np.exp(-z))
    yield "float32 network", np.float32(p).astype(float), y
    yield "rounded to 2 decimals", np.round(p, 2), y
    rare = rng.normal(-11, 3, size=200_000)
    y = (rng.random(len(rare)) < 1 / (1 + np.exp(2 - 0.6 * rare))).astype(int)
    yield "rare events, none saturated", 1 / (1 + np.exp(-rare)), y
    forest = RandomForestClassifier(10, random_state=0).fit(X[fit], labels[fit])
    yield UNSURE, forest.predict_proba(X[rest])[:, 1], labels[rest]


def held_out_loss(eps: float | str, p: np.ndarray, y: np.ndarray, unsure: bool) -> float:
    """Mean over random halves: fitted on one (or its scores from .1 to .9), scored on the other."""
    losses = []
    for seed in range(N_SPLITS):
        fit, test = train_test_split(np.arange(len(y)), test_size=0.5, random_state=seed)
        if unsure:
            fit = fit[(p[fit] >= 0.1) & (p[fit] <= 0.9)]
        calibrator = PlattCalibrator(eps=eps).fit(p[fit], y[fit])
        losses.append(log_loss(y[test], calibrator.predict_proba(p[test])))
    return float(np.mean(losses))


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    warnings.simplefilter("ignore", CalibrationWarning)
    print(f"{'held-out log loss, eps =':30}{'0 or 1':>8}", *(f"{c!s:>8}" for c in CHOICES))
    for name, p, y in cases():
        share = np.mean((p == 0) | (p == 1))
        losses = [held_out_loss(eps, p, y, name == UNSURE) for eps in CHOICES]
        print(f"{name:30}{share:8.1%}", *(f"{v:8.4f}" for v in losses))


if __name__ == "__main__":
    main()
