"""Arguments that are something else than they should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scores import Scores
from .warnings import HardScoresWarning, warn

#: Distinct fractions beside scores of 0 and 1 from which on they must be the scores.
_MANY_FRACTIONS = 3


def refuse_swapped(
    scores: Any, labels: Any, where: str, names: tuple[str, str], *, labels_first: bool = False
) -> None:
    """Raise if the labels were given as scores, and the scores as labels."""
    if not _are_labels(scores) or not _are_scores(labels):
        return
    function = where.split(" ")[0].split(".")[-1]
    first = "metric, " if function == "estimate" else ""
    order = "labels, scores" if labels_first else "scores, labels"
    raise ValueError(
        f"{where}: {names[0]} holds class labels and {names[1]} holds scores: they are swapped. "
        f"Call {function}({first}{order})."
    )


def _array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return np.empty(0)


def _are_labels(values: Any) -> bool:
    """Whether a column holds texts or whole numbers, or none where there is no label."""
    a = _array(values)
    if a.ndim != 1 or len(a) == 0:
        return False
    if a.dtype.kind == "O":
        known = [v for v in a.tolist() if v is not None and v == v]
        return all(isinstance(v, (str, int)) for v in known)
    if a.dtype.kind == "f":
        a = a[~np.isnan(a)]
        return bool((a == np.floor(a)).all())
    return a.dtype.kind in "buiUS"


def _are_scores(values: Any) -> bool:
    """Whether these are rows of several numbers, or many fractions."""
    a = _array(values)
    if a.dtype.kind != "f" or a.size == 0:
        return False
    if a.ndim == 2 and a.shape[1] > 1:
        return True
    a = a[np.isfinite(a)]
    return len(np.unique(a[a != np.floor(a)])) >= _MANY_FRACTIONS


def warn_of_hard(s: Scores, where: str, name: str) -> None:
    """Warn of labels, as ``predict`` gives them, in the place of probabilities."""
    if s.scale != "probability" or len(s) < 2:
        return
    values = s.values if s.best is None else s.best[1]
    if s.values.ndim == 1:
        hard = all(((v == 0) | (v == 1)).all() for v in (values[:100], values))
        both = hard and values.min() < values.max()
    else:
        hard = all((v == 1).all() for v in (values[:100], values))
        both = hard and s.best is not None and s.best[0].min() < s.best[0].max()
    if both:
        warn(
            f"{where}: all {len(s)} rows of {name} are exactly 0 or 1, which look like predicted "
            "labels; expected probabilities. Pass those of predict_proba, not of predict.",
            HardScoresWarning,
        )
