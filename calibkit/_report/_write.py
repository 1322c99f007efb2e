"""The report of arrays, as a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._core.errors import InputError, InputTypeError, called
from .._core.params import check_int, check_real
from .._core.printed import a_type, spelled
from .._core.rows import kept_rows, validate_problem
from .._core.saved import whole_file
from .._tables.files import check_output
from .._typing import Bins, Kind
from ..displays import by_name
from ._facts import facts
from ._page import Page, check_page, page_text
from ._pictures import diagram
from ._problem import Problem
from ._sections import report_page


def write_report(
    path: Any,
    y_true: Any,
    y_prob: Any,
    *,
    by: Any = None,
    kind: Kind | None = None,
    n_bins: Bins = 15,
    level: float = 0.9,
    n_resamples: int = 1000,
    sample_weight: Any = None,
    groups: Any = None,
    pos_label: Any = None,
    classes: Any = None,
    name: str | None = None,
    random_state: int = 0,
) -> dict[str, Any]:
    """Measure the calibration of one or several models, and write an HTML page about it.

    The page is one file that loads nothing from the network. It has a verdict, the differences of
    the models, a reliability diagram, errors and scores, groups, tests of calibration,
    certificates and settings. ``calibkit report --html`` writes the same page.

    Parameters
    ----------
    path : str or path-like
        File to write, such as "report.html".
    y_true : array-like of shape (n,)
        Labels of rows that the models were not fitted on. For two classes also fractions of events
        in [0, 1].
    y_prob : array-like of shape (n,), (n, 2) or (n, K), or dict of str to array-like
        Probabilities of the event, or of every class. A dict has several models by name.
    by : array-like, data frame or dict of str to array-like, optional
        Columns whose groups are measured one by one, see :func:`group_table`.
    kind : {"binary", "top_label", "classwise"}, optional
        What to measure: the event, the predicted class, or every class. Default: "top_label" for
        K > 2 classes, else "binary".
    n_bins : int or "auto", default=15
        Number of bins of the calibration errors.
    level : float, default=0.9
        Confidence level of the intervals.
    n_resamples : int, default=1000
        Number of simulations for the calibration errors.
    sample_weight : array-like of shape (n,), optional
        Sampling weights >= 0.
    groups : array-like of shape (n,), optional
        Group of each row, such as its patient. Rows of one group are treated as dependent.
    pos_label : label, optional
        Label of the event (two classes only); default: the larger label.
    classes : array-like, optional
        All class labels in sorted order. Needed if ``y_true`` lacks some of them.
    name : str, optional
        Title of the page. Default: a summary of the data.
    random_state : int, default=0
        Seed of the simulations, at least 0. The same seed gives the same page.

    Returns
    -------
    facts : dict
        All results as plain values: what ``calibkit report --json`` prints.

    Raises
    ------
    ValueError
        If the data or settings are invalid, or the file can't be written.
    ImportError
        If jinja2 or matplotlib is not installed.

    Notes
    -----
    With more than 100,000 rows, the tests of calibration run on 100,000 of them, drawn at random;
    above 10,000 rows the tests "smooth" and "smooth_logit" are left out. The page says so.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from calibkit import write_report
    >>> from calibkit.testing import binary_data
    >>> p, y = binary_data(n=400)
    >>> with TemporaryDirectory() as folder:
    ...     facts = write_report(Path(folder) / "report.html", y, {"squared": p**2, "plain": p})
    >>> facts["verdict"][0][:42]
    'plain has a lower Brier score than squared'
    """
    check_page()
    target = _target(path)
    check_real("level", level, low=0.0, high=1.0, open_low=True, open_high=True)
    check_int("n_resamples", n_resamples, low=10)
    check_int("random_state", random_state, low=0)
    problem = _problem(y_true, y_prob, sample_weight, pos_label, classes, groups, by)
    given: dict[str, Any] = {
        "kind": kind,
        "n_bins": n_bins,
        "level": level,
        "n_resamples": n_resamples,
    }
    found = facts(problem, seed=int(random_state), **given)
    found = {"calibkit": __version__, "file": name or "", "label": "label", **found}
    given |= {"pos_label": pos_label, "name": name, "random_state": random_state}
    arrays = {"sample_weight": sample_weight, "groups": groups, "by": by, "classes": classes}
    said = [k + "=" + repr(v) for k, v in given.items() if v is not None]
    said += [f"{k}={k}" for k, v in arrays.items() if v is not None]
    said = [repr(os.fspath(path)), "y_true", "y_prob", *said]
    call = f"calibkit.write_report({', '.join(said)})"
    display = diagram(problem, found, n_bins=n_bins, seed=int(random_state))
    write_page(report_page(found, display, call), target)
    return found


def write_page(page: Page, target: Path) -> None:
    """Write a page to a file, which appears whole or not at all."""
    text = page_text(page)
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _target(path: Any) -> Path:
    try:
        target = os.fspath(path)
        return check_output(target)
    except TypeError:
        raise InputTypeError(
            f"path is {a_type(path)}; expected the name of a file, such as 'report.html'."
        ) from None
    except ValueError as error:
        found = str(error).removeprefix(f"{target}: ").partition(";")[0].rstrip(".")
        raise InputError(
            f"path={spelled(target)}: {found}; expected the name of a file to write."
        ) from None


def _problem(
    y_true: Any,
    y_prob: Any,
    sample_weight: Any,
    pos_label: Any,
    classes: Any,
    groups: Any,
    by: Any,
) -> Problem:
    """The arrays as checked ones, with the probability of the event if there are two classes."""
    named = by_name(y_prob, None, "y_prob")
    models: dict[str, Any] = {}
    for model, p in named.items():
        with called(part=f" ({model})" if len(named) > 1 else ""):
            rows = validate_problem(
                y_true, p, sample_weight, "sampling", pos_label, classes, fractions=True
            )
        probs = rows.scores.probs()
        kept = kept_rows(sample_weight, len(y_true))
        whole = np.full((len(y_true), *probs.shape[1:]), 1.0 / len(rows.classes))
        whole[kept] = probs
        models[model] = whole
    if len({p.shape for p in models.values()}) > 1:
        raise InputError(
            "y_prob has models of different numbers of classes; expected models of one problem."
        )
    shares = rows.y.dtype.kind == "f"
    y = np.full(len(y_true), rows.classes[0], float if shares else rows.classes.dtype)
    y[kept] = rows.y if shares else rows.classes[rows.y]
    binary = len(rows.classes) <= 2
    event = rows.classes.tolist()[-1] if binary and not shares else None
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    labels = None if groups is None else np.asarray(groups)
    return Problem(y, models, None if binary else rows.classes, event, weight, labels, by)
