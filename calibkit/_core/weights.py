"""From a user's weights to checked ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray
from .labels import first_place


def _numbers(sample_weight: Any, where: str) -> FloatArray:
    try:
        w = np.asarray(sample_weight)
        if w.dtype.kind in "buifO" and not np.ma.isMaskedArray(sample_weight):
            return w.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"{where}: sample_weight can't be read as numbers; expected one number per row."
    )


def read_weights(sample_weight: Any, n: int, *, where: str) -> FloatArray | None:
    """Finite weights >= 0 with a positive sum, or None."""
    if sample_weight is None:
        return None
    w = _numbers(sample_weight, where)
    if w.ndim == 2 and w.shape[1] == 1:
        w = w[:, 0]
    if w.shape != (n,):
        raise ValueError(
            f"{where}: sample_weight has shape {w.shape}; expected one weight per row, ({n},)."
        )
    if not np.isfinite(w).all():
        raise ValueError(
            f"{where}: sample_weight is not finite at {first_place(~np.isfinite(w))[1]}; expected "
            "finite weights >= 0."
        )
    if (w < 0).any():
        at, place = first_place(w < 0)
        raise ValueError(
            f"{where}: sample_weight is negative ({w[at]:.6g} at {place}); expected weights >= 0."
        )
    if not w.any():
        raise ValueError(f"{where}: sample_weight is zero in every row; expected a positive sum.")
    if not 1e-100 <= w.max() <= 1e100:
        raise ValueError(
            f"{where}: the largest sample_weight is {w.max():.3g}; expected weights between 1e-100 "
            "and 1e100. Divide them by their mean."
        )
    return w
