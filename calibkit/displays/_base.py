"""The base class of the displays: it keeps the numbers, draws them and returns them as a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core.errors import InputError
from .._core.optional import require
from .._core.printed import few, spelled
from .._core.warnings import counted
from .._typing import Self
from ._problems import probabilities_of
from ._style import new_figure

#: Name of a single model or method without a name.
DEFAULT_NAME = "Model"


class Display:
    """Base class: curves by name, and the axes they are drawn in."""

    curves_: dict[Any, Any]
    ax_: Any

    @property
    def figure_(self) -> Any:
        """The figure of the axes."""
        return np.ravel(self.ax_)[0].figure

    def _parts(self) -> Iterator[dict[str, Any]]:
        """Yield the names and columns of each curve."""
        raise TypeError(f"{type(self).__name__} must define _parts().")

    def _size(self) -> tuple[float, float]:
        """Width and height of a new figure in inches."""
        raise TypeError(f"{type(self).__name__} must define _size().")

    def _draw(self, ax: Any) -> None:
        """Draw everything in these axes."""
        raise TypeError(f"{type(self).__name__} must define _draw().")

    def plot(self, ax: Any = None) -> Self:
        """Draw the display again.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        display : Display
            The same display, with ``ax_`` and ``figure_`` set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from calibkit import RiskCoverageDisplay
        >>> y, p = [1, 1, 0, 0] * 9, [0.9, 0.8, 0.8, 0.1] * 9
        >>> display = RiskCoverageDisplay.from_predictions(y, p)
        >>> display.plot().ax_.get_xlabel()
        'Coverage: share of outputs accepted'
        """
        require("matplotlib", "plot")
        if ax is None:
            ax = new_figure(*self._size()).add_subplot()
        self._draw(ax)
        self.ax_ = ax
        return self

    def frame(self) -> Any:
        """Return the numbers of the plot as a data frame, one row per point of a curve.

        Returns
        -------
        frame : pandas.DataFrame
            First the names of the curve: ``model`` (and ``class``), or for a
            :class:`DriftDisplay` ``method`` and ``window`` (0: no window). Then the fields of
            ``curves_``.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from calibkit import ReliabilityDisplay
        >>> y, p = [0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]
        >>> display = ReliabilityDisplay.from_predictions(y, p, n_bins=2)
        >>> display.frame()[["model", "lower", "upper", "mean_score", "frequency", "n"]]
           model  lower  upper  mean_score  frequency  n
        0  Model    0.0    0.6        0.25        0.0  2
        1  Model    0.6    1.0        0.75        1.0  2
        """
        pandas = require("pandas")
        return pandas.concat(map(pandas.DataFrame, self._parts()), ignore_index=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.curves_)})"


def by_name(values: Any, name: str | None, what: str) -> dict[str, Any]:
    """Return ``{name: value}`` of one or several models."""
    if not isinstance(values, Mapping):
        return {DEFAULT_NAME if name is None else str(name): values}
    if not values:
        raise InputError(f"{what} is an empty dict; expected at least one model.")
    if name is not None:
        raise InputError(
            f"name={spelled(name)} with a dict of {what}, whose keys are the names; expected only "
            "one of both. Drop name."
        )
    named = {str(key): value for key, value in values.items()}
    if len(named) < len(values):
        raise InputError(
            f"the keys of {what} are {few(list(values))}; expected names that differ as text. "
            "Rename one of them."
        )
    return named


class ModelsDisplay(Display):
    """Base class of displays of one or several models' probabilities."""

    from_predictions: Any
    #: Whether there may be more than two classes.
    _of_classes = False

    @classmethod
    @counted()
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, name: str | None = None, **settings: Any
    ) -> Self:
        """Draw the display of fitted classifiers on held-out rows.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            Fitted classifier with ``predict_proba``, or several by name.
        X : array-like of shape (n, n_features)
            Features of rows that the classifiers were not fitted on.
        y : array-like of shape (n,)
            Labels of these rows.
        name : str, optional
            Name of a single model; default: the name of its class.
        **settings
            As in ``from_predictions``.

        Returns
        -------
        display : Display
            The drawn display.

        Raises
        ------
        ValueError
            If an estimator has no ``predict_proba``, or the data are invalid.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from calibkit import DecisionCurveDisplay
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = GaussianNB().fit(X[::2], y[::2])
        >>> display = DecisionCurveDisplay.from_estimator(model, X[1::2], y[1::2], thresholds=0.5)
        >>> display.curves_["GaussianNB"].net_benefit.round(2)
        array([0.54])
        """
        require("matplotlib", "plot")
        if name is None and not isinstance(estimator, Mapping):
            name = type(estimator).__name__
        models = by_name(estimator, name, "estimator")
        scores, classes = probabilities_of(models, X, pos_label=settings.get("pos_label"))
        known = next(iter(classes.values()))
        if known is not None and all(np.array_equal(known, c) for c in classes.values()):
            # Some classes may have no rows here.
            if len(known) > 2 and cls._of_classes:
                settings.setdefault("classes", known)
            elif len(known) == 2 and settings.get("pos_label") is None:
                settings["pos_label"] = known[1]
                scores = {model: p.reshape(len(p), -1)[:, -1] for model, p in scores.items()}
        return cls.from_predictions(y, scores, **settings)
