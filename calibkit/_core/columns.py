"""Columns of probabilities that are named after the classes."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

from .errors import InputError
from .printed import few, spelled


def column_names(X: Any) -> list[Any] | None:
    """Names of the columns of a frame (pandas, polars, pyarrow); None if it has no names."""
    names = getattr(X, "column_names", None)  # pyarrow: its columns are the values
    if names is None:
        names = getattr(X, "columns", None)
    if names is None or callable(names) or isinstance(X, np.ndarray):
        return None
    return list(names)


def match_columns(
    names: Iterable[Any],
    classes: Iterable[Any],
    *,
    what: str = "the scores",
    mend: str = "Name all of them after the classes, or pass the values without names, in the "
    "order of the classes.",
) -> list[int] | None:
    """Place of each class's column, by name; None if no column is named after a class.

    All names may have the same text before and after the class, such as ``p_no`` and ``p_yes``. A
    number and its text are equal, and so are upper and lower case if the classes remain different.
    A message begins with ``what`` (such as "X") and ends with ``mend``.

    Raises
    ------
    ValueError
        If some columns are named after classes and others are not.
    """
    given, labels = list(names), list(classes)
    if len(given) != len(labels):
        return None
    texts, styles = [_text(name) for name in given], _spellings(labels)
    for change in (str, _folded):
        for style in styles:
            order = _places([change(t) for t in texts], [change(t) for t in style])
            if order is not None:
                return order
    known = {_folded(t) for style in styles for t in style}
    named = [not known.isdisjoint(_parts(_folded(t))) for t in texts]
    # The default names that frames give to columns were not chosen by the user.
    if any(named) and not _are_default(given):
        yes = [g for g, is_named in zip(given, named, strict=True) if is_named]
        no = [g for g, is_named in zip(given, named, strict=True) if not is_named]
        raise InputError(
            f"{what} has columns named after classes ({few(yes)})"
            + (f" and others that are not ({few(no)})" if no else "")
            + f"; the classes are {few(labels)}; expected all columns named after classes, or "
            f"none. {mend}"
        )
    return None


def in_class_order(X: Any, classes: Any, *, name: str, event: Any = None, mend: str = "") -> Any:
    """Scores with the columns of a frame in the order of the classes, if named after them.

    A single column that is named after the class other than the ``event`` (default: the larger
    class) is refused.
    """
    if type(X) is np.ndarray or classes is None:
        return X
    names, labels = column_names(X), list(classes)
    if names is None and getattr(X, "ndim", 1) == 1 and isinstance(getattr(X, "name", None), str):
        names = [X.name]
    if names is None:
        return X
    if len(names) == 1:
        _refuse_other(names[0], labels, event, name, mend)
        return X
    order = match_columns(names, labels, what=name)
    if order is None or order == list(range(len(order))):
        return X
    if hasattr(X, "iloc"):
        return X.iloc[:, order]
    return X.select([names[i] for i in order])


def _refuse_other(name: Any, classes: list[Any], event: Any, what: str, mend: str) -> None:
    if len(classes) != 2 or not all(isinstance(c, (str, bool, np.bool_)) for c in classes):
        return  # the name 0 is hardly that of a class
    event = classes[1] if event is None else event
    (other,) = [c for c in classes if c != event] if event in classes else [event]
    text = _folded(_text(other))
    if _folded(_text(name)) in (text, f"p_{text}", f"prob_{text}", f"proba_{text}"):
        raise InputError(
            f"{what} is one column named {spelled(name)}; expected the scores of {few([event])}. "
            f"Pass that column, or both.{mend}"
        )


def _are_default(names: list[Any]) -> bool:
    """Whether these are the default names of pandas or polars."""
    return names == list(range(len(names))) or names == [f"column_{i}" for i in range(len(names))]


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_, str)) or not isinstance(value, Real):
        return str(value)
    number: Any = value
    return str(int(number)) if _is_whole(number) else str(float(number))


def _is_whole(value: Any) -> bool:
    return isinstance(value, (Integral, np.bool_)) or float(value).is_integer()


def _folded(text: str) -> str:
    return text.strip().casefold()


def _spellings(labels: list[Any]) -> list[list[str]]:
    """How columns may be named after the classes: 1 as 1 or 1.0, True as True or 1."""
    styles = [[_text(v) for v in labels]]
    if any(isinstance(v, str) or not isinstance(v, (Real, np.bool_)) for v in labels):
        return styles
    if all(map(_is_whole, labels)):
        styles += [[str(int(v)) for v in labels], [f"{int(v)}.0" for v in labels]]
    return styles


def _places(names: list[str], texts: list[str]) -> list[int] | None:
    """Place of each text among names that add the same text before and after it."""
    extra, rest = divmod(sum(map(len, names)) - sum(map(len, texts)), len(texts))
    if rest or extra < 0:
        return None
    place = {name: i for i, name in enumerate(names)}
    for cut in range(extra + 1):
        before, after = names[0][:cut], names[0][len(names[0]) - extra + cut :]
        if before + texts[0] + after in place:
            order = [place.get(before + text + after, -1) for text in texts]
            if sorted(order) == list(range(len(names))):
                return order
    return None


def _parts(name: str) -> list[str]:
    """A name, and its beginnings and ends at a sign such as _ or -."""
    cuts = [i for i, letter in enumerate(name) if not letter.isalnum()]
    return [name, *(name[i + 1 :] for i in cuts), *(name[:i] for i in cuts)]


def _known(classes: list[Any]) -> dict[str, int]:
    """Place of each class, by all names that its column may have."""
    styles = reversed(_spellings(classes))
    return {_folded(text): k for style in styles for k, text in enumerate(style)}


def called_after(names: Iterable[Any], classes: Iterable[Any]) -> list[int | None]:
    """Place of the class of each name; None if it is not a class."""
    known = _known(list(classes))
    return [known.get(_folded(_text(name))) for name in names]


def check_order(names: Iterable[Any], classes: Iterable[Any], *, what: str, mend: str) -> None:
    """Raise if the names of these columns contradict this order of classes."""
    given, labels = list(names), list(classes)
    try:
        order = match_columns(given, labels)
    except ValueError:  # only some are named after classes: check those
        order = None
    if order is not None:
        wrong = [i for k, i in enumerate(order) if i != k]
    else:
        known = _known(labels)
        matches = [{known[t] for t in _parts(_folded(_text(n))) if t in known} for n in given]
        wrong = [i for i, places in enumerate(matches) if places and i not in places]
    if wrong:
        i = wrong[0]
        raise InputError(
            f"{what} {few([given[i]])} for the class {few([labels[i]])}; expected the same order "
            f"as in the names of the columns. {mend}"
        )
