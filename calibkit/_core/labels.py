"""Check a user's labels, and convert them to classes and codes."""

from __future__ import annotations

from collections import Counter
from numbers import Real
from typing import Any, NoReturn

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from .._numerics.links import row_blocks
from .._typing import IntArray
from .arrays import on_host
from .errors import InputError, caller
from .printed import few, spelled
from .warnings import LabelOrderWarning, warn

#: Calibrators whose ``fit`` takes fractions, those of the trait "soft_labels"; a test compares.
SOFT = (
    "PlattCalibrator", "TemperatureCalibrator", "BetaCalibrator", "IsotonicCalibrator",
    "SplineCalibrator", "VennAbersCalibrator", "AutoCalibrator",
    "VectorScalingCalibrator", "MatrixScalingCalibrator",
)  # fmt: skip


def first_place(bad: np.ndarray) -> tuple[int | tuple[int, ...], str]:
    """First bad entry of an array, as an index and in words."""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    if len(at) == 1:
        return at, f"row {at[0]}"
    return at, f"row {at[0]}, column {at[1]}"


def as_labels(y: Any) -> np.ndarray:
    """Labels as an array that keeps their types; some may be missing."""
    y = on_host(y, "y")
    if isinstance(y, np.ndarray):
        return y
    return np.asarray(y) if hasattr(y, "__array__") else np.asarray(y, dtype=object)


def validate_labels(y: Any, *, classes: Any = None, name: str = "y") -> tuple[np.ndarray, IntArray]:
    """``(classes, codes)``; the classes are the given ones, or the labels found, sorted."""
    return _codes(validate_column(y, name=name), classes, name)


def validate_targets(y: Any, *, classes: Any = None, name: str = "y") -> tuple[np.ndarray, Any]:
    """:func:`validate_labels`; for fractions in [0, 1], the two classes and the fractions.

    Floats in [0, 1] are fractions of the larger class if at least one of them is not 0 or 1.
    """
    labels = validate_column(y, name=name)
    if labels.dtype.kind != "f" or not is_fractional(labels):
        return _codes(labels, classes, name)
    distinct = np.array([0, 1]) if classes is None else validate_classes(classes)
    declared = distinct.dtype.kind in "buif" and np.isin(labels, distinct).all()
    if len(distinct) > 2 or declared:  # classes such as 0, 0.5 and 1
        return _codes(labels, classes, name)
    return distinct, labels.astype(np.float64)


def is_fractional(labels: np.ndarray) -> bool:
    """Whether floats lie in [0, 1], and at least one of them is not 0 or 1."""
    # NaN fails the first comparison.
    inside = labels.min() >= 0 and labels.max() <= 1
    return bool(inside and ((labels > 0) & (labels < 1)).any())


def validate_column(y: Any, *, name: str) -> np.ndarray:
    """Labels as a plain column of ints, bools, floats or strings; only floats may be missing."""
    if y is None:
        refuse_none(name, "a label for every row")
    some = [v for v in y if v is not None] if isinstance(y, (list, tuple)) else []
    if len({isinstance(v, str) for v in some}) == 2:
        _refuse_mixed(y, name)
    refuse_masked(y, name)
    y = _without_nullable(on_host(y, name))
    try:
        plain = type(y) is np.ndarray and y.ndim == 1
        labels = y if plain else column_or_1d(y)
    except (ValueError, TypeError) as error:
        try:
            found = f"has shape {np.shape(y)}"
        except (ValueError, TypeError):
            found = f"can't be read as labels: {why_unreadable(y, error)}"
        raise InputError(f"{name} {found}; expected one label per row, of shape (n,).") from error
    shape = np.shape(y[:1]) if isinstance(y, (list, tuple)) else getattr(y, "shape", ())
    if len(shape) == 2:
        warn(
            f"A column-vector y was passed when a 1d array was expected: {caller()} takes the only "
            f"column of {name}.",
            DataConversionWarning,
        )
    if labels.dtype.kind not in "buifUO":
        words = "Complex data not supported: " if labels.dtype.kind == "c" else ""
        raise InputError(
            f"{words}{name} has dtype {labels.dtype}; expected ints, bools or strings. Convert the "
            "labels, for instance to strings."
        )
    if len(labels) == 0:
        raise InputError(f"{name} has 0 sample(s) while a minimum of 1 is required.")
    if labels.dtype.kind == "O":
        labels = _plain(labels, name)
    return labels


def _codes(labels: np.ndarray, classes: Any, name: str) -> tuple[np.ndarray, IntArray]:
    if classes is not None:
        return _codes_of(labels, validate_classes(classes), name)
    if labels.dtype.kind in "bui":
        return _integer_codes(labels)
    if labels.dtype.kind != "f":
        _check_targets(labels, name)
    elif (coded := _float_codes(labels, name)) is not None:
        return coded
    distinct, codes = np.unique(labels, return_inverse=True)
    if distinct.dtype.kind in "UO":
        _refuse_same_numbers(distinct, name)
    return distinct, codes


def numbers_of(distinct: np.ndarray) -> list[float] | None:
    """The numbers that texts represent; None unless all of them are numbers."""
    try:
        numbers = [float(v) for v in distinct.tolist() if isinstance(v, str)]
    except ValueError:
        return None
    return numbers if len(numbers) == len(distinct) and np.isfinite(numbers).all() else None


def _refuse_same_numbers(distinct: np.ndarray, name: str) -> None:
    numbers = numbers_of(distinct)
    if numbers is not None and len(set(numbers)) < len(distinct):
        raise InputError(
            f"{name} holds the labels {few(distinct)}: several of these texts are the same "
            "number; expected one text for each class. Convert them to numbers: "
            f"np.asarray({name}, dtype=float)."
        )


def warn_of_order(distinct: np.ndarray, name: str) -> None:
    """Warn if numbers are written as texts, and their order as texts is different."""
    numbers = numbers_of(distinct) if distinct.dtype.kind in "UO" else None
    if numbers is not None and numbers != sorted(numbers):
        warn(
            f"the labels of {name} are numbers written as texts, and are sorted as texts: "
            f"{few(distinct)}. Columns of scores must be in this order; a single column holds the "
            "scores of the last label. To sort them as numbers, convert them to numbers.",
            LabelOrderWarning,
        )


def _float_codes(labels: np.ndarray, name: str) -> tuple[np.ndarray, IntArray] | None:
    """Classes and codes of whole numbers in float form, if there are two of them."""
    low, high = labels.min(), labels.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        at, place = first_place(~np.isfinite(labels))
        raise InputError(
            f"{name} contains NaN or infinity (first at {place}); expected a label in every row. "
            "Drop the rows without one.",
            place=at,
        )
    fractional = labels != np.floor(labels)
    if fractional.any():
        _refuse_continuous(name, labels)
    positive = labels == high
    if np.count_nonzero(positive) + np.count_nonzero(labels == low) == len(labels):
        # Two values: a byte per row, and no sort.
        return np.unique(np.array([low, high])), positive.view(np.int8)
    return None


def _integer_codes(labels: np.ndarray) -> tuple[np.ndarray, IntArray]:
    """Classes and codes of integers or bools, without a sort if their range is small."""
    if labels.dtype.kind == "b":
        distinct = np.array([v for v in (False, True) if v in labels])
        return distinct, labels.view(np.int8) if len(distinct) == 2 else np.zeros(
            len(labels), np.int8
        )
    if (binary := _zeros_and_ones(labels)) is not None:
        return np.array([0, 1], dtype=labels.dtype), binary
    low, high = int(labels.min()), int(labels.max())
    if high - low > max(1024, len(labels)) or max(-low, high) >= 2**62:
        return np.unique(labels, return_inverse=True)
    shifted = labels.astype(np.intp) - low
    present = np.bincount(shifted, minlength=high - low + 1) > 0
    codes = (np.cumsum(present) - 1)[shifted]
    classes = (np.flatnonzero(present) + low).astype(labels.dtype)
    return classes, codes.astype(np.int8) if len(classes) == 2 else codes


def _zeros_and_ones(labels: IntArray) -> IntArray | None:
    """Integers of which some are 0, some are 1 and none is another, in a byte each."""
    codes = np.empty(len(labels), dtype=np.int8)
    some, every = 0, 1
    for rows in row_blocks(len(labels)):
        part = labels[rows]
        some |= int(np.bitwise_or.reduce(part))
        every &= int(np.bitwise_and.reduce(part))
        if some not in (0, 1):
            return None
        codes[rows] = part
    return codes if some == 1 and every == 0 else None


def _refuse_continuous(name: str, labels: np.ndarray) -> None:
    value = labels[labels != np.floor(labels)][0]
    hint = ""
    if is_fractional(labels):
        takers = ", ".join(SOFT[:-1]) + " and " + SOFT[-1]
        hint = f" Fractions k/n are allowed in fit of {takers}, and in metrics of two classes."
    raise InputError(
        f"Unknown label type: continuous. {name} holds {float(value):.6g}; expected class labels "
        f"(ints, strings, bools).{hint}"
    )


def _plain(labels: np.ndarray, name: str) -> np.ndarray:
    """Objects of one kind; numbers among them as an array of numbers."""
    missing = np.array([is_missing(v) for v in labels], dtype=bool)
    if missing.any():
        at, place = first_place(missing)
        raise InputError(
            f"{name} has no label at {place} (None or NaN); expected a label in every row. Drop "
            "the rows without one.",
            place=at,
        )
    if len({isinstance(v, str) for v in labels}) > 1:
        _refuse_mixed(labels, name)
    if isinstance(labels[0], str):
        return labels
    kinds = (bool, np.bool_, Real)
    plain = np.array([isinstance(v, kinds) for v in labels], dtype=bool)
    if plain.all():
        numbers = np.asarray(labels.tolist())
        if numbers.dtype.kind in "buif":
            return numbers
        plain[:] = [isinstance(v, (float, int)) and -(2**63) <= v < 2**64 for v in labels]
    at, place = first_place(~plain) if not plain.all() else (0, "row 0")
    raise InputError(
        f"{name} can't be read as labels: it holds {spelled(labels[at]):.60} "
        f"({type(labels[at]).__name__}) at {place}; expected ints, bools or strings.",
        place=at,
    )


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN or a missing value of pandas, which can't be compared."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating)) and bool(value != value)


def _without_nullable(y: Any) -> Any:
    """A pandas column of nullable numbers as an array, if none is null."""
    plain = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if plain is None or plain.kind not in "bui" or not hasattr(y, "isna") or y.isna().any():
        return y
    return y.to_numpy(dtype=plain)


def _refuse_mixed(labels: Any, name: str) -> None:
    raise InputError(
        f"{name} mixes labels of the types {_types(labels)}; expected one type. Convert them, for "
        "instance to strings."
    )


def _types(labels: Any) -> str:
    return " and ".join(sorted({type(v).__name__ for v in labels}))


def _check_targets(labels: np.ndarray, name: str) -> None:
    try:
        check_classification_targets(labels)
    except ValueError as error:
        raise InputError(f"{name}: {spelled(error)}") from error


def validate_classes(classes: Any) -> np.ndarray:
    """Sorted distinct class labels, at least two of them."""
    a = np.asarray(classes)
    listed = classes if isinstance(classes, (list, tuple)) else a.ravel()
    if a.dtype.kind in "OU" and any(not isinstance(v, str) for v in listed):
        raise InputError(f"classes={spelled(classes)}; expected labels of one type.")
    if a.ndim != 1 or len(a) < 2:
        raise InputError(
            f"classes={spelled(classes)}; expected a list of two or more class labels."
        )
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise InputError(f"classes={spelled(classes)}; expected finite labels.")
    distinct = np.unique(a)
    if len(distinct) != len(a) or (distinct != a).any():
        raise InputError(
            f"classes={spelled(classes)}; expected distinct labels in sorted order, the order of "
            "scikit-learn's classes_ and of the columns. Sort them, and the columns of the scores "
            "with them."
        )
    return distinct


def _codes_of(labels: np.ndarray, classes: np.ndarray, name: str) -> tuple[np.ndarray, IntArray]:
    distinct, inverse = np.unique(labels, return_inverse=True)
    unknown = ~np.isin(distinct, classes)
    if unknown.any():
        if labels.dtype.kind == "f" and is_fractional(labels):
            _refuse_continuous(name, labels)
        raise InputError(
            f"{name} holds labels that are not among the classes {few(classes)}: "
            f"{few(distinct[unknown])}; expected these classes only. Pass all classes in "
            "classes=[...]."
        )
    return classes, np.searchsorted(classes, distinct)[inverse]


def refuse_masked(values: Any, name: str) -> None:
    """Raise if the values are a masked array, because the masked values are unknown."""
    if np.ma.isMaskedArray(values):
        raise InputError(
            f"{name} is a masked array; expected a plain array. Fill or drop the masked values."
        )


def refuse_none(name: str, expected: str) -> NoReturn:
    """Raise for missing labels, with the words that scikit-learn's checks expect."""
    raise InputError(
        f"requires {name} to be passed, but the target {name} is None; expected {expected}."
    )


def _size(n: int) -> str:
    return "a single number" if n < 0 else f"{n} value{'s'[n == 1 :]}"


def why_unreadable(values: Any, error: Exception) -> str:
    """Which row is not a number, or has a different length; otherwise the error's text."""
    try:
        rows = list(values.to_numpy() if hasattr(values, "to_numpy") else values)
        lengths = [np.size(row) if np.ndim(row) else -1 for row in rows]
    except (TypeError, ValueError):
        rows, lengths = [], []
    (usual, _), *others = Counter(lengths).most_common() or [(-1, 0)]
    if others:
        i, n = next((i, n) for i, n in enumerate(lengths) if n != usual)
        return f"row {i} holds {_size(n)}, most rows hold {_size(usual)}"
    for i, row in enumerate(rows):
        for value in np.ravel(np.asarray(row, dtype=object)):
            try:
                float(value)
            except (TypeError, ValueError):
                return f"row {i} holds {spelled(value)}, which is not a real number"
            except OverflowError:
                return f"row {i} holds a number that is too large for a float"
    return spelled(error).rstrip(".")


def validate_group_labels(values: Any, n: int, name: str) -> np.ndarray:
    """Labels of rows that are only compared: their group, problem or task."""
    refuse_masked(values, name)
    one = "one group per row" if name == "groups" else "one label per row"
    listed = isinstance(values, (list, tuple))
    # NumPy would turn numbers, and NaN, beside strings into strings.
    mixed = listed and len({isinstance(v, str) for v in values}) > 1
    values = on_host(values, name)
    try:
        a = np.asarray(values, dtype=object if mixed else None)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"{name} holds lists of unequal lengths; expected {one}.") from error
    if a.shape != (n,):
        raise InputError(f"{name} has shape {a.shape}; expected {one}, ({n},).")
    missing = np.zeros(n, dtype=bool)
    if a.dtype.kind == "O":
        missing = np.array([is_missing(v) for v in a], dtype=bool)
    elif a.dtype.kind in "fmM":
        missing = ~np.isfinite(a)
    if missing.any():
        at = int(missing.argmax())
        raise InputError(f"{name} has no label at row {at}; expected {one}.", place=at)
    if a.dtype.kind == "O":
        try:
            sorted(2 * list(set(a.tolist())))  # twice, so that one alone is compared too
        except TypeError as error:  # types that can't be ordered, or are no labels, such as lists
            raise InputError(
                f"{name} mixes labels of different types ({_types(a)}); expected one type that can "
                "be sorted. Convert them, for instance to strings."
            ) from error
    return a
