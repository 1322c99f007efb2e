"""From (y_true, y_prob) to checked rows, and from K classes to binary problems."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import numpy as np

from .._numerics.weights import effective_count
from .._typing import FloatArray, IntArray, Kind, StreamKind, Weights
from .arrays import on_host
from .columns import column_names, in_class_order
from .errors import InputError
from .inputs import (
    Rows,
    check_lengths,
    match_classes,
    refuse_lacking,
    refuse_swapped,
    validate_scores,
    validate_weights,
    warn_of_hard,
)
from .labels import (
    as_labels,
    is_missing,
    validate_group_labels,
    validate_labels,
    validate_targets,
    warn_of_order,
)
from .params import check_choice
from .printed import few, spelled
from .warnings import FewGroupsWarning, warn

KINDS = get_args(Kind)
#: What a weight is: a row's share of the population, or a number of rows.
WEIGHTS = get_args(Weights)
_NAMES = ("y_prob", "y_true")
#: Weights below this share of the largest become 0, because their squares would.
LEAST_WEIGHT = 1e-50
#: Effective number of groups below which each interval gets a warning.
FEW_GROUPS = 10.0


class Binary(NamedTuple):
    """Probabilities of an event, whether it happened (0/1, or a fraction), and weights or None.

    With ``counts`` the weights count rows.
    """

    p: FloatArray
    y: Any  # integers, or floats if fractions
    w: FloatArray | None
    counts: bool = False


def validate_problem(
    y_true: Any,
    y_prob: Any,
    sample_weight: Any = None,
    weights: Weights = "sampling",
    pos_label: Any = None,
    classes: Any = None,
    *,
    fractions: bool = False,
) -> Rows:
    """Checked rows of a metric; labels that are 0, 1 or -1 may all be equal.

    With ``fractions``, the labels of a binary problem may be shares of events: ``y`` are floats.
    """
    _check_given(y_prob, weights, pos_label)
    read: Any = validate_targets if fractions and _of_two_classes(y_prob) else validate_labels
    distinct: Any = None
    try:
        distinct, codes = read(y_true, classes=classes, name="y_true")
        y_prob = columns_in_order(y_prob, distinct, pos_label)
        scores = validate_scores(y_prob, scale="probability", name="y_prob")
    except ValueError:
        refuse_swapped(y_prob, y_true, _NAMES, labels_first=True)
        refuse_lacking(y_prob, distinct, _NAMES)
        raise
    binary = scores.values.ndim == 1
    if codes.dtype.kind == "f":
        refuse_swapped(y_prob, y_true, _NAMES, labels_first=True)
    labels_found = distinct
    check_lengths(len(scores), len(codes), _NAMES)
    w = positive_weights(sample_weight, len(scores))
    if codes.dtype.kind == "f":
        distinct, codes = _event_shares(distinct, codes, pos_label)
    elif not binary:
        _refuse_event(pos_label, scores.n_classes)
    else:
        labels, (distinct, codes) = distinct, binary_codes(distinct, codes, pos_label)
        two_columns = np.ndim(y_prob) == 2 and np.shape(y_prob)[1] == 2
        if two_columns and pos_label is not None and len(labels) == 1:
            raise InputError(
                "y_prob has two columns and y_true holds one label only, "
                f"{spelled(labels.tolist()[0])}; expected labels of both classes. Pass only the "
                "column of the event, or both classes in classes=[...]."
            )
        if two_columns and pos_label is not None and len(labels) == 2 and pos_label == labels[0]:
            # Columns follow the sorted labels: the event's is the first one.
            flipped = np.asarray(on_host(y_prob, "y_prob"))[:, ::-1]
            scores = validate_scores(flipped, scale="probability", name="y_prob")
    if weights == "frequency":
        w = checked_counts(codes, w)
    rows = Rows(scores, codes, w, distinct)
    match_classes(rows, names=_NAMES)
    warn_of_hard(scores, "y_prob")
    if pos_label is None and classes is None and column_names(y_prob) is None:
        warn_of_order(labels_found, "y_true")
    if w is not None and not w.all():
        kept = np.flatnonzero(w)
        rows = Rows(scores[kept], codes[kept], w[kept], distinct)
    return rows


def _refuse_event(pos_label: Any, n_classes: int) -> None:
    if pos_label is not None:
        raise InputError(
            f"pos_label={spelled(pos_label)} with {n_classes} columns in y_prob; expected two "
            "classes. For one of many classes pass y_true == label and its column."
        )


def check_event(pos_label: Any) -> None:
    """Raise unless it is one label, or None."""
    if np.ndim(pos_label) or isinstance(pos_label, (dict, set)):
        raise InputError(f"pos_label={spelled(pos_label)}; expected one label.")


def _check_given(y_prob: Any, weights: Any, pos_label: Any) -> None:
    check_choice("weights", weights, WEIGHTS)
    check_event(pos_label)
    if y_prob is None:
        raise InputError("y_prob is missing; expected probabilities. Pass them after the labels.")


def _of_two_classes(y_prob: Any) -> bool:
    """Whether there are at most two columns."""
    try:
        shape = getattr(y_prob, "shape", None) or np.shape(y_prob)
    except (ValueError, TypeError, OverflowError):  # ragged: `validate_scores` raises the error
        return False
    return len(shape) < 2 or shape[1] <= 2


def columns_in_order(y_prob: Any, distinct: np.ndarray, pos_label: Any) -> Any:
    """The columns of a frame in the order of the labels, even if only one label occurs."""
    labels = distinct.tolist()
    if len(labels) == 1 and pos_label is not None and pos_label != labels[0]:
        labels = sorted([*labels, pos_label], key=str)
    elif len(labels) == 1 and not isinstance(labels[0], str) and labels[0] in (0, 1, -1):
        labels = [min(0, labels[0]), 1]
    mend = "" if pos_label is not None else f" Or name the event: pos_label={spelled(labels[0])}."
    return in_class_order(y_prob, labels, name="y_prob", event=pos_label, mend=mend)


def positive_weights(sample_weight: Any, n: int) -> FloatArray | None:
    """Checked weights; those below 1e-50 of the largest become 0, because their squares would."""
    w = validate_weights(sample_weight, n)
    if w is None or w.min() >= LEAST_WEIGHT * w.max():
        return w
    return np.where(w < LEAST_WEIGHT * w.max(), 0.0, w)


def rows_passed(sample_weight: Any, n: int) -> int:
    """Number of rows that a user passed; n of them have a weight."""
    return n if sample_weight is None else len(np.asarray(on_host(sample_weight, "sample_weight")))


def kept_rows(sample_weight: Any, n: int) -> IntArray:
    """Places of the n rows that have a weight, among all rows."""
    if sample_weight is None:
        return np.arange(n)
    w = positive_weights(sample_weight, rows_passed(sample_weight, n))
    assert w is not None
    return np.flatnonzero(w)


def _event_shares(
    distinct: np.ndarray, shares: FloatArray, pos_label: Any
) -> tuple[np.ndarray, FloatArray]:
    """Shares of the event, which may be the smaller label."""
    if pos_label is None or pos_label == distinct[1]:
        return np.array([0, 1]), shares
    if pos_label != distinct[0]:
        raise InputError(
            f"pos_label={spelled(pos_label)} with fractions in y_true; expected "
            f"{spelled(distinct.tolist()[0])} or {spelled(distinct.tolist()[1])}."
        )
    return np.array([0, 1]), 1.0 - shares


def checked_counts(y: np.ndarray, w: FloatArray | None) -> FloatArray | None:
    """Weights checked to be whole numbers of rows, with whole numbers of events."""
    if w is None and y.dtype.kind != "f":
        return None
    n = np.ones(len(y)) if w is None else w
    if (n != np.floor(n)).any() or n.sum() > 2**53:
        bad = (n != np.floor(n)) | (n > 2**53)
        at = int(bad.argmax()) if bad.any() else None
        value = f"a sum of {n.sum():.6g}" if at is None else f"{n[at]:.6g} at row {at}"
        raise InputError(
            f"weights='frequency' and a sample_weight of {value}; expected whole numbers of rows "
            "with a sum of at most 2**53. For other weights use weights='sampling'.",
            place=at,
        )
    off = np.abs(n * y - np.rint(n * y)) > 1e-6
    if off.any():
        i = int(off.argmax())
        raise InputError(
            f"weights='frequency', and y_true is {y[i]:.6g} at row {i} with a weight of "
            f"{n[i]:.6g}, which is not a whole number of events; expected k/n with the weight n. "
            "For other fractions use weights='sampling'.",
            place=i,
        )
    return n


def binary_codes(
    distinct: np.ndarray, codes: IntArray, pos_label: Any, name: str = "y_true"
) -> tuple[np.ndarray, IntArray]:
    """Codes with 1 for the positive label, even if only one label occurs."""
    if pos_label is None:
        if len(distinct) != 1:
            return distinct, codes
        only = distinct.tolist()[0]
        if not isinstance(only, (str, bytes)) and only in (0, 1, -1):
            return np.array([0, 1]), np.full(len(codes), int(only == 1), dtype=np.int8)
        raise InputError(
            f"{name} holds one label only, {spelled(only)}; expected two labels. If only one "
            "occurs, pass the label of the event as pos_label."
        )
    same_kind = isinstance(pos_label, str) == isinstance(distinct.tolist()[0], str)
    if len(distinct) > 2 or not same_kind or (len(distinct) == 2 and pos_label not in distinct):
        raise InputError(
            f"pos_label={spelled(pos_label)} and the labels {few(distinct)}; expected two labels, "
            "of which pos_label is one."
        )
    positive = (distinct == pos_label)[codes]
    return np.array([0, 1]), np.ascontiguousarray(positive).view(np.int8)


def row_counts(w: FloatArray | None, n: int, weights: Weights) -> tuple[int, float]:
    """Number of rows, and effective number of rows."""
    if w is not None and weights == "frequency":
        return int(w.sum()), float(w.sum())
    return n, float(n) if w is None else float(effective_count(w.sum(), w @ w))


def refuse_beside_table(*given: Any) -> None:
    """Raise if rows are given together with their table."""
    if any(value is not None for value in given):
        raise InputError(
            "a ScoreTable together with y_prob, sample_weight, pos_label, classes or groups; "
            "expected the table alone, or the rows."
        )


def refuse_kind(kind: Any) -> None:
    """Raise if a kind other than binary is requested for a table."""
    if kind not in (None, "binary"):
        raise InputError(f"kind={spelled(kind)} with a ScoreTable; expected kind='binary'.")


def validate_groups(groups: Any, sample_weight: Any, n: int) -> np.ndarray:
    """Codes of the groups of rows with positive weight."""
    g = validate_group_labels(groups, n, "groups")
    w = positive_weights(sample_weight, n)
    if w is not None:
        g, w = g[w > 0], w[w > 0]
    distinct, codes = np.unique(g, return_inverse=True)
    if len(distinct) < 2:
        raise InputError("groups holds one group only; expected at least two.")
    if len(distinct) < FEW_GROUPS:
        warn(f"{few_groups(codes, w)}.", FewGroupsWarning)
    return codes


def validate_confidence(
    y_true: Any,
    y_prob: Any,
    sample_weight: Any,
    weights: Weights,
    pos_label: Any,
    *,
    fractions: bool = True,
) -> Binary:
    """Checked rows of the event, or for K > 2 classes of a correct prediction."""
    given = sample_weight, weights, pos_label
    rows = validate_problem(y_true, y_prob, *given, fractions=fractions)
    return reduce_rows(rows, infer_kind(None, rows.scores.n_classes), weights)[0]


def infer_kind(kind: Kind | None, n_classes: int, kinds: tuple[str, ...] = KINDS) -> Kind:
    """The requested kind; by default binary, or top_label for K > 2 classes."""
    if kind is None:
        return "top_label" if n_classes > 2 else "binary"
    check_choice("kind", kind, kinds)
    if kind == "binary" and n_classes > 2:
        raise InputError(
            f"kind='binary' with {n_classes} columns in y_prob; expected "
            f"{' or '.join(map(spelled, kinds[1:]))}. For one class pass y_true == label and its "
            "column."
        )
    return kind


def reduce_rows(rows: Rows, kind: Kind, weights: Weights = "sampling") -> list[Binary]:
    """The binary problems of a kind of calibration error."""
    s, y, w = rows.scores, rows.y, rows.w
    counts = weights == "frequency" and w is not None

    def happened(of: IntArray | int) -> IntArray | FloatArray:
        if y.dtype.kind == "f":
            return np.where(of == np.int8(1), y, 1.0 - y)
        return (y == of).view(np.int8)

    if kind == "binary":
        return [Binary(s.values, y, w, counts)]
    if kind == "top_label":
        confidence, winners = s.top()
        return [Binary(confidence.values, happened(winners), w, counts)]
    return [
        Binary(np.minimum(one.values, 1.0), happened(k), w, counts)
        for k, one in enumerate(s.one_vs_rest())
    ]


def few_groups(groups: IntArray, w: FloatArray | None = None) -> str:
    """Why an interval with groups may be too narrow, or an empty string."""
    size = np.bincount(groups, w)
    worth = float(effective_count(size.sum(), size @ size))
    if worth >= FEW_GROUPS * (1.0 - 1e-9):
        return ""
    return f"the effective number of groups is {worth:.3g}; intervals may be too narrow"


def reversal(
    area: float | None, y_true: Any = None, y_prob: Any = None, pos_label: Any = None
) -> str:
    """Return a hint if the ROC AUC is clearly below 0.5, or an empty string.

    ``y_true`` may be a table or fractions, which have no labels that the hint could name.
    """
    if area is None:
        return ""
    said = f"ROC AUC {area:.3f}, clearly below 0.5: the scores may be those of the other label"
    if y_prob is None:
        return f"{said}. If so, name that label by pos_label."
    labels, codes = validate_targets(y_true, name="y_true")
    if codes.dtype.kind == "f":
        return f"{said}. If so, pass the fractions of that label."
    if np.ndim(y_prob) == 2 and np.shape(y_prob)[1] == 2:
        return f"{said}. The columns must be in the order of the labels {spelled(labels.tolist())}."
    event = labels.tolist()[-1] if pos_label is None else pos_label
    other = next((label for label in labels.tolist() if label != event), None)
    return f"{said}. If so, pass pos_label={spelled(other)}."


def validate_stream_rows(
    y_true: Any, y_prob: Any, kind: StreamKind | None, pos_label: Any, classes: Any
) -> tuple[Binary, IntArray, int, np.ndarray]:
    """The labeled rows as a binary problem, their places in the stream, and its length.

    Then all forecasts, their columns in the order of the labels.
    """
    y = as_labels(y_true)
    if y.dtype == object:
        known = ~np.array([is_missing(v) for v in y.ravel()], dtype=bool).reshape(y.shape)
    else:
        known = y == y  # not NaN, whatever the type
    if y.ndim == 1 and not known.all():
        n = len(validate_scores(y_prob, scale="probability", name="y_prob"))
        check_lengths(n, len(y), ("y_prob", "y_true"))
        if not known.any():
            raise InputError("y_true holds no label; expected at least one labeled row.")
        y_prob = _by_name(y[known], y_prob, pos_label, classes)
        y_true, labelled = y[known], y_prob[known]
        data = validate_problem(y_true, labelled, pos_label=pos_label, classes=classes)
    else:
        data = validate_problem(y_true, y_prob, pos_label=pos_label, classes=classes)
        y_prob = _by_name(y.ravel(), y_prob, pos_label, classes)
    shown = infer_kind(kind, data.scores.n_classes, get_args(StreamKind))
    (binary,) = reduce_rows(data, shown)
    rows = np.flatnonzero(known) if y.ndim == 1 else np.arange(len(binary.y))
    return binary, rows, len(y), y_prob


def _by_name(y: Any, y_prob: Any, pos_label: Any, classes: Any) -> np.ndarray:
    """Forecasts as an array, the columns of a frame in the order of the labels."""
    if isinstance(y_prob, (np.ndarray, list, tuple)):
        return np.asarray(y_prob)
    distinct, _ = validate_labels(y, classes=classes, name="y_true")
    return np.asarray(on_host(columns_in_order(y_prob, distinct, pos_label), "y_prob"))
