"""Outputs by task, model or project, calibrators of any of them, and their skill."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from .._core.base import BaseCalibrator
from .._core.labels import read_group_labels
from .._core.printed import spelled
from .._core.scores import SATURATED
from .._core.signals import check_range, read_correct, read_signals, scales_of
from .._core.warnings import CalibrationWarning
from .._numerics.links import logit
from .._typing import FloatArray, IntArray, SignalScale
from ._folds import read_calibrator

#: Names of a row and of columns of the tables.
TAKEN = {"all others", "fitted on"}


@dataclass(frozen=True)
class Part:
    """The outputs of one task, model or project."""

    rows: IntArray
    signal: FloatArray
    y: IntArray
    groups: np.ndarray | None

    def draw(self, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Rows of n labels, whole groups where there are groups, and all others."""
        m = len(self.y)
        if self.groups is None:
            order = rng.permutation(m)
            return order[:n], order[n:]
        codes = np.unique(self.groups, return_inverse=True)[1]
        sizes = np.bincount(codes)
        place = rng.permutation(len(sizes))
        before = np.cumsum(sizes[place]) - sizes[place]  # rows drawn before each group's turn
        chosen = np.zeros(len(sizes), dtype=bool)
        chosen[place[before < n]] = True
        return np.flatnonzero(chosen[codes]), np.flatnonzero(~chosen[codes])


class PartitionedOutputs:
    """Checked outputs by part, and calibrators of any of them."""

    def __init__(
        self,
        confidence: Any,
        correct: Any,
        by: Any,
        groups: Any,
        calibrator: Any,
        scale: SignalScale,
        where: str,
    ) -> None:
        self.where = where
        y = read_correct(correct, where, confidence)
        self.n = len(y)
        signal = read_signals({"confidence": confidence}, len(y), where)["confidence"]
        scales_of(scale, {"confidence": signal}, where)
        check_range(signal, scale, "confidence", where)
        b = read_group_labels(by, len(y), "by", where)
        g = None if groups is None else read_group_labels(groups, len(y), "groups", where)
        self.template = read_calibrator(calibrator, scale, where)
        known = np.flatnonzero(~np.isnan(signal))
        found, code = np.unique(b[known], return_inverse=True)
        if len(found) < 2:
            raise ValueError(f"{where}: by holds {len(found)} value(s); expected at least two.")
        at = [known[code == i] for i in range(len(found))]
        self.names = [str(v) for v in found]
        if taken := sorted(TAKEN & set(self.names)):
            raise ValueError(
                f"{where}: by holds {spelled(taken[0])}, which the tables use for themselves; "
                "expected other names."
            )
        self.rows = [Part(i, signal[i], y[i], None if g is None else g[i]) for i in at]
        for name, part in zip(self.names, self.rows, strict=True):
            if len(np.unique(part.y)) < 2:
                kind = "right" if part.y[0] else "wrong"
                raise ValueError(
                    f"{where}: all {len(part.y)} outputs of {name} are {kind}; expected right and "
                    "wrong ones in every part. Leave it out, or join it to another."
                )

    def check_rest(self, n_local: int) -> None:
        """Raise unless every part has outputs to judge beside its local labels."""
        for name, part in zip(self.names, self.rows, strict=True):
            if len(part.y) < 2 * n_local:
                raise ValueError(
                    f"{self.where}: n_local={n_local} and {name} has {len(part.y)} outputs; "
                    f"expected at least twice as many. Use n_local={len(part.y) // 2} or less."
                )

    def fit(self, which: list[int]) -> BaseCalibrator:
        """The calibrator of these parts together."""
        signal = np.concatenate([self.rows[i].signal for i in which])
        return _fit(self.template, signal, np.concatenate([self.rows[i].y for i in which]))

    def local(self, signal: FloatArray, y: IntArray, local: IntArray, rest: IntArray) -> FloatArray:
        """Probabilities of the rest by a calibrator of the local labels."""
        if len(np.unique(y[local])) < 2:  # all there is to know is the rate
            return np.full(len(rest), (y[local].sum() + 1.0) / (len(local) + 2.0))
        return _fit(self.template, signal[local], y[local]).predict_proba(signal[rest])[:, 1]


def _fit(template: BaseCalibrator, signal: FloatArray, y: IntArray) -> BaseCalibrator:
    with warnings.catch_warnings():
        # Of separation, reversal and the like: here the skill tells.
        warnings.simplefilter("ignore", CalibrationWarning)
        return clone(template).fit(signal, y)


def log_odds(calibrator: BaseCalibrator, signal: FloatArray) -> FloatArray:
    """Log-odds of the calibrated probabilities."""
    p = calibrator.predict_proba(signal)[:, 1]
    return logit(np.clip(p, SATURATED, 1.0 - SATURATED))


def brier_skill(p: FloatArray, y: IntArray) -> FloatArray:
    """Skill of each row of probabilities; NaN where all labels are alike, or there are none."""
    if len(y) == 0:
        return np.full(p.shape[:-1], np.nan)
    rate = y.mean()
    reference = rate * (1.0 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, 1.0 - ((p - y) ** 2).mean(axis=-1) / reference, np.nan)


def mean_known(skill: FloatArray) -> FloatArray:
    """Means over the draws (first axis) whose skill is defined; NaN if none is."""
    known = ~np.isnan(skill)
    with np.errstate(invalid="ignore"):
        return np.where(known, skill, 0.0).sum(axis=0) / known.sum(axis=0)
