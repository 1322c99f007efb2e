"""The types that signatures share: arrays, and the words that settings take."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self as Self
else:  # typing has it from Python 3.11 on, and nothing else is to be installed for it
    Self = Any

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]

Scale = Literal["probability", "logit"]
SignalScale = Literal["probability", "logit", "score"]
Norm = Literal["l1", "l2", "max"]
Strategy = Literal["quantile", "uniform", "unique", "sklearn_quantile", "sklearn_uniform"]
Bins = int | Literal["auto", "sweep"]
Debias = bool | Literal["differences", "labels"]
Kind = Literal["binary", "top_label", "classwise"]
StreamKind = Literal["binary", "top_label"]
Weights = Literal["sampling", "frequency"]
CurveKind = Literal["binned", "corp", "smooth"]
BinInterval = Literal["clopper-pearson", "wilson"]
Histogram = bool | Literal["log", "outcome"]
Dialect = Literal[
    "duckdb", "postgres", "sqlite", "mysql", "clickhouse", "spark", "bigquery", "snowflake", "tsql"
]  # fmt: skip
Legend = Literal["below", "inside", "none"]
