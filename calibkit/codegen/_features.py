"""Confidence measures as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._core.errors import InputError, InputTypeError
from .._core.params import check_choice, check_real
from .._core.printed import listed, spelled
from .._numerics.links import logit
from .._typing import FloatArray, Scale, Self
from ._answers import ask, validate_list
from ._measures import LEAST_MISS, SCALES, TOKEN_MEASURES, measure_tokens
from ._ragged import to_numbers, warn_of_missing
from ._verbalised import validate_stated

#: The column that each measure is computed from.
_COLUMN_OF = {
    **dict.fromkeys(TOKEN_MEASURES, "logprobs"),
    "entropy": "top_logprobs",
    "p_true": "answer",
    "p_true_normalised": "answer",
    "verbalised": "verbalised",
    "agreement": "agreement",
    "test_pass_rate": "test_pass_rate",
}
COLUMNS = tuple(dict.fromkeys(_COLUMN_OF.values()))
MEASURES = tuple(_COLUMN_OF)


class ConfidenceFeatures(TransformerMixin, BaseEstimator):
    """Compute confidence measures of generated outputs as columns of a feature matrix.

    Use it as the first step of a pipeline: before a calibrator for one measure, or before an
    imputer and a logistic regression for several measures. ``fit`` learns nothing from the data, so
    there is no leakage in cross-validation.

    Parameters
    ----------
    measures : str or sequence of str, default=("average_token_probability",)
        The measures to compute: those of :func:`token_confidence`, "p_true", "p_true_normalised",
        "verbalised", "agreement" and "test_pass_rate".
    scale : {"probability", "logit"}, default="probability"
        "logit" returns log-odds of the measures that are probabilities; length, perplexity and
        entropy do not change. Use it before linear models.
    quantile : float, default=0.1
        The quantile of "low_token_probability", in [0, 1].
    columns : dict, optional
        Names of the data frame's columns, if they are not the default names: "logprobs",
        "top_logprobs", "answer" (answer tokens, see :func:`p_true`), "verbalised" (texts, see
        :func:`parse_confidence`), "agreement" and "test_pass_rate" (numbers from the functions of
        these names). For instance ``{"logprobs": "token_logprobs"}``.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns used; 1 if the input is not a data frame.
    feature_names_in_ : ndarray of str
        Names of these columns, if the input is a data frame.

    Raises
    ------
    ValueError
        If a parameter or a value is out of range, or a column is missing.
    TypeError
        If the input has another type.

    Notes
    -----
    The input is a pandas or polars data frame, or any input that :func:`token_confidence` takes as
    ``logprobs``. Measures that cannot be computed are NaN, with a
    :class:`~calibkit.MissingSignalWarning`. On the logit scale, "verbalised", "agreement" and
    "test_pass_rate" are clipped to [2**-24, 1 - 2**-24]. If these are often 0 or 1, prefer the
    probability scale: calibrators choose a better clipping.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.codegen import ConfidenceFeatures
    >>> rng = np.random.default_rng(0)
    >>> ease = rng.exponential(size=400)
    >>> outputs = [-rng.exponential(e / 8, size=rng.integers(5, 50)) for e in ease]
    >>> correct = rng.random(400) < np.exp(-ease)
    >>> model = make_pipeline(
    ...     ConfidenceFeatures("total_probability", scale="logit"), PlattCalibrator(scale="logit")
    ... ).fit(outputs, correct)
    >>> model.predict_proba([[-0.01] * 20, [-0.5] * 20])[:, 1].round(2)
    array([0.76, 0.04])
    """

    def __init__(
        self,
        measures: str | Sequence[str] = ("average_token_probability",),
        *,
        scale: Scale = "probability",
        quantile: float = 0.1,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.measures = measures
        self.scale = scale
        self.quantile = quantile
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters, and that the input has the columns.

        Parameters
        ----------
        X : data frame of n rows, or sequence of n lists of log-probabilities
            The outputs.
        y : object, optional
            Ignored.

        Returns
        -------
        self : ConfidenceFeatures
            The transformer.
        """
        names = self._names()
        self._check_params()
        if _is_frame(X):
            self.feature_names_in_ = np.array(self._columns_read(X, names), dtype=object)
            self.n_features_in_ = len(self.feature_names_in_)
        else:
            self._refuse_columns(names)
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> FloatArray:
        """Compute the measures of each output.

        Parameters
        ----------
        X : data frame of n rows, or sequence of n lists of log-probabilities
            The outputs.

        Returns
        -------
        signals : ndarray of shape (n, n_measures)
            NaN where a measure cannot be computed. After ``set_output`` a data frame.
        """
        check_is_fitted(self)
        names = self._names()
        data: Mapping[str, Any]
        if _is_frame(X):
            read = self._columns_read(X, names)
            data = {c: X[c] for c in read}
        else:
            self._refuse_columns(names)
            data = {self._column("logprobs"): X}
        tokens = [m for m in names if m in TOKEN_MEASURES]
        out: dict[str, FloatArray] = {}
        if tokens:
            where_from = (self._column("logprobs"), self._column("top_logprobs"))
            table = measure_tokens(
                data.get(where_from[0]),
                tokens,
                self.quantile,
                self.scale,
                data.get(where_from[1]),
                where_from if _is_frame(X) else ("X", "X"),
            )
            out.update(zip(tokens, table.T, strict=True))
        for m in names:
            if m not in out:
                column = self._column(_COLUMN_OF[m])
                out[m] = self._other(m, data[column], column)
        return np.column_stack([out[m] for m in names])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the measures.

        Parameters
        ----------
        input_features : object, optional
            Ignored.

        Returns
        -------
        names : ndarray of str objects
            One name per column.
        """
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def _other(self, measure: str, values: Any, column: str) -> FloatArray:
        """A measure that is not computed from tokens."""
        if measure in ("p_true", "p_true_normalised"):
            normalised = measure == "p_true_normalised"
            return ask(values, "true", "false", normalised, "nan", self.scale, column)
        if measure == "verbalised":
            p = validate_stated(values, "fraction", column)
        else:
            p = to_numbers(validate_list(values, column), column)
            bad = (p < 0) | (p > 1)
            if bad.any():
                i = int(np.argmax(bad))
                raise InputError(
                    f"{column} holds {p[i]:.6g} at output {i}; expected shares in [0, 1]."
                )
            warn_of_missing([measure], np.isnan(p), "no value")
        return logit(np.clip(p, LEAST_MISS, 1.0 - LEAST_MISS)) if self.scale == "logit" else p

    def _names(self) -> list[str]:
        several = not isinstance(self.measures, str) and hasattr(self.measures, "__iter__")
        names: list[Any] = list(self.measures) if several else [self.measures]
        for name in names:
            check_choice("measures", name, MEASURES)
        if not names or len(set(names)) < len(names):
            raise InputError(
                f"measures={spelled(self.measures)}; expected at least one measure, each once."
            )
        return names

    def _check_params(self) -> None:
        check_choice("scale", self.scale, SCALES)
        check_real("quantile", self.quantile, low=0.0, high=1.0)
        if self.columns is not None and not isinstance(self.columns, Mapping):
            raise InputTypeError(f"columns={spelled(self.columns)}; expected a dict or None.")
        for name in self.columns or ():
            check_choice("columns", name, COLUMNS)

    def _column(self, name: str) -> str:
        return (self.columns or {}).get(name, name)

    def _columns_read(self, X: Any, names: Sequence[str]) -> list[str]:
        """The columns of a data frame that the measures need."""
        present = list(getattr(X, "column_names", X.columns))  # Arrow's tables have these
        needed = list(dict.fromkeys(_COLUMN_OF[m] for m in names))
        for name in needed:
            if self._column(name) not in present:
                raise InputError(
                    f"X has no column {spelled(self._column(name))}; expected it among "
                    f"{listed([str(c) for c in present])}. If it has another name, pass "
                    f"columns={{{spelled(name)}: 'its_name'}}."
                )
        return [self._column(name) for name in needed]

    def _refuse_columns(self, names: Sequence[str]) -> None:
        for m in names:
            if _COLUMN_OF[m] != "logprobs":
                raise InputError(
                    f"measures holds {spelled(m)}, which needs the column "
                    f"{spelled(self._column(_COLUMN_OF[m]))}, and X is not a data frame; expected "
                    "a pandas or polars DataFrame. Pass one with this column."
                )


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "__getitem__")
