"""Scores of the other label, and how to say that they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.labels import read_targets
from .._core.printed import spelled


def reversal(
    area: float | None, y_true: Any = None, y_prob: Any = None, pos_label: Any = None
) -> str:
    """A sentence for scores whose area lies below one half beyond doubt; else nothing.

    ``y_true`` may be a table, or hold fractions: then there are no labels to name.
    """
    if area is None:
        return ""
    said = f"AUC {area:.3f}, surely below 1/2: the other label may be meant"
    if y_prob is None:
        return f"{said}; say so by pos_label."
    labels, codes = read_targets(y_true, where="reversal", name="y_true")
    if codes.dtype.kind == "f":
        return f"{said}; give the fractions of that label."
    if np.ndim(y_prob) == 2 and np.shape(y_prob)[1] == 2:
        return (
            f"{said}, since columns belong to the labels in the order {spelled(labels.tolist())}."
        )
    event = labels.tolist()[-1] if pos_label is None else pos_label
    other = next((label for label in labels.tolist() if label != event), None)
    return f"{said}; say so by pos_label={spelled(other)}."
