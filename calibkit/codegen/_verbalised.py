"""Confidence that a model states in a text: numbers are read, words are not interpreted."""

from __future__ import annotations

import re
import unicodedata
from math import nan
from numbers import Real
from typing import Any, Literal

import numpy as np

from .._core.errors import InputTypeError
from .._core.labels import is_missing
from .._core.params import check_choice
from .._core.printed import spelled
from .._typing import FloatArray
from ._answers import validate_list
from ._ragged import warn_of_missing

#: A number, well formed or not: 1,5 and 1.2.3 match as a whole, and are then refused.
_NUMBER = r"(?:\d+(?:[.,]\d+)*|\.\d+)(?:[eE][-+]?\d+)?"
#: Not inside a word (GPT4), after its hyphen (GPT-4), or inside a number or date.
_ALONE = r"(?<![\w.,/])(?<!\w-)"
_SIGNED = rf"{_ALONE}([-+]?{_NUMBER})"
_PERCENT = r"\\?(?:%|per ?cent\b)"
_BOUND = (
    r"(?:[<>≤≥]=?|±|\b(?:at (?:least|most)|(?:more|less) than|under|over|above|below|up to))\s*"
)
_TO = r"(?:-|–|—|±|\+/-|\bto\b)"
_RANGE = re.compile(
    rf"{_ALONE}{_NUMBER}\s*{_PERCENT}?\s*(?:{_TO}|\band\b)\s*{_NUMBER}\s*{_PERCENT}"
    rf"|{_BOUND}{_NUMBER}\s*{_PERCENT}",
    re.IGNORECASE,
)
_MARKED = re.compile(
    rf"{_SIGNED}\s*(?:(?P<percent>{_PERCENT})"
    rf"|(?:/|\bout of\b)\s*(?P<whole>{_NUMBER})(?!\s*/|\w|[.,]\d))",
    re.IGNORECASE,
)
_KEY = r"\b(?:confidence|probability)[^\d\n:=.(]{0,40}"
_KEYED = re.compile(
    rf"{_KEY}[:=]\s*[\"'*]*([-+]?{_NUMBER})(?![.,]?\d|\s*(?:{_PERCENT}|/|out of\b))"
    rf"(?P<range>\s*{_TO}\s*\.?\d)?",
    re.IGNORECASE,
)
#: Removed or read as "confidence:": a tag, and a stated range, as in "confidence (0-100%):".
_TAG = re.compile(r"<(\w{1,40})>")
_END_TAG = re.compile(r"</\w{1,40}>")
_RANGE_TOLD = re.compile(rf"({_KEY})\([^()\n]{{0,40}}\)(?=[\"'*\s]{{0,5}}[:=])", re.IGNORECASE)
_PLAIN = re.compile(rf"{_SIGNED}(?!\w|[.,]\d|\s*/)")
_PLAIN_RANGE = re.compile(
    rf"{_ALONE}{_NUMBER}\s*{_TO}\s*{_NUMBER}|(?:{_BOUND}|\bof\s+){_NUMBER}", re.IGNORECASE
)
#: Numbers closer than this are the same value.
_SAME = 1e-9


def parse_confidence(
    texts: Any, *, bare: Literal["fraction", "percent"] = "fraction"
) -> FloatArray:
    """Read verbalized confidence: the probability that a model states in its answer.

    Use it on the answers to "How likely is it that this code is correct?". Models often give round
    numbers only (90%, 95%); then many outputs have the same value and cannot be ordered.

    Parameters
    ----------
    texts : sequence of n str
        One answer per output: "90%", "0.9", "9/10", "9 out of 10", ``{"confidence": 0.9}``,
        ``<confidence>0.9</confidence>``. Numbers and None (no answer) are allowed too.
    bare : {"fraction", "percent"}, default="fraction"
        Meaning of a number without a unit. "percent" reads "90" as 0.9, and "0.9" as 0.009.

    Returns
    -------
    confidence : ndarray of shape (n,)
        Probabilities in [0, 1]; NaN where the answer does not state exactly one.

    Raises
    ------
    TypeError
        If there is a value other than text, numbers and None.

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal.

    Notes
    -----
    Numbers with a unit (%, /, "out of") or after "confidence:" or "probability:" are preferred to
    bare numbers. These give NaN: words ("very sure"), two different values, ranges and bounds
    ("80-90%", "at least 90%"), "50/50", values outside [0, 1], decimal commas. Spiess et al. (2025,
    section 3) divide a percentage by 100; they do not describe other answers.

    References
    ----------
    C. Spiess et al. (2025). Calibration and correctness of language models for code. ICSE.

    Examples
    --------
    >>> from calibkit.codegen import parse_confidence
    >>> parse_confidence(["I am 90% sure.", "9 out of 10", '{"confidence": 0.9}', "0.9"])
    array([0.9, 0.9, 0.9, 0.9])
    """
    return validate_stated(texts, bare)


def validate_stated(texts: Any, bare: str, name: str = "texts") -> FloatArray:
    """:func:`parse_confidence`, with the argument's name in messages."""
    check_choice("bare", bare, ("fraction", "percent"))
    rows = validate_list(texts, name)
    unit = 100.0 if bare == "percent" else 1.0
    seen: dict[str, float] = {}  # answers repeat
    out = np.full(len(rows), nan)
    for i, row in enumerate(rows):
        if is_missing(row):
            continue
        if isinstance(row, Real) and not isinstance(row, bool):
            out[i] = float(row) / unit if 0 <= row <= unit else nan  # type: ignore[operator]
        elif isinstance(row, str):
            if row not in seen:
                seen[row] = _stated(row, unit)
            out[i] = seen[row]
        else:
            raise InputTypeError(
                f"{name} holds {spelled(row):.40} ({type(row).__name__}) at output {i}; expected "
                "text. Pass the model's answer as a str, or None."
            )
    missing = np.isnan(out)
    first = rows[int(np.argmax(missing))] if missing.any() else None
    why = "no text" if is_missing(first) else f"can't read {spelled(first):.40}"
    warn_of_missing(["verbalized confidence"], missing, why)
    return out


def _stated(text: str, unit: float) -> float:
    """The value that a text states, or NaN if it states none or several."""
    text = unicodedata.normalize("NFKC", text).replace("\u2212", "-")
    # Shorten white space but keep line ends: the patterns are slow on long runs of it.
    text = re.sub(r"(?: ?\n)+ ?", "\n", re.sub(r"[^\S\n]+", " ", text))
    text = _RANGE_TOLD.sub(r"\1", _END_TAG.sub(" ", _TAG.sub(r" \1: ", text)))
    marked = [_ratio(m) for m in _MARKED.finditer(text)]
    if marked and _RANGE.search(text):
        return nan
    keyed = [nan if m["range"] else _number(m[1]) / unit for m in _KEYED.finditer(text)]
    if marked or keyed:
        return _one(marked + keyed)
    if _PLAIN_RANGE.search(text):
        return nan
    return _one([_number(m[1]) / unit for m in _PLAIN.finditer(text)])


def _ratio(m: re.Match[str]) -> float:
    if m["percent"]:
        return _number(m[1]) / 100.0
    whole = _number(m["whole"])
    if m[0].replace(" ", "") == "50/50":  # as an idiom one half, as a fraction 1
        return nan
    return _number(m[1]) / whole if whole else nan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # a decimal comma, a version
        return nan


def _one(values: list[float]) -> float:
    agree = bool(values) and all(abs(v - values[0]) <= _SAME for v in values)  # NaN is not
    return values[0] if agree and 0.0 <= values[0] <= 1.0 else nan
