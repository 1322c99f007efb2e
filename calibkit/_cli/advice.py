"""The library's messages for the command line: options instead of Python arguments."""

from __future__ import annotations

import re

from .._registry import CALIBRATORS

#: Settings of the library whose options have another name.
_RENAMED = {
    "n_resamples": "resamples",
    "random_state": "seed",
    "pos_label": "positive",
    "sample_weight": "weight",
}
_ALIKE = (
    *("kind", "classes", "level", "cv", "calibrator", "task", "sample", "correct", "notion"),
    *("max_error", "alpha", "cost_accept_wrong", "cost_review", "cost_discard_right"),
)
#: Arguments of the library that are columns on the command line.
_NAMES = {"y_prob": "--prob", "y_true": "--label"}
#: Patterns and their replacements, in this order; {fit} and {logit} become the option for log-odds.
_WORDS = (
    (r"a calibrator with scale='logit'", "{fit}"),
    (r"use scale='probability'", "drop --logit"),
    (r"Use eps='auto', or pass logits with scale='logit'", "Log-odds need no clipping: {logit}"),
    (r"scale='logit'", "{logit}"),
    (r"log-odds use scale=\{.*?\}; for (.*?) use scale=\{'(.*?)': 'score'\}", r"\1 use --score \2"),
    (r"(Use strategy='uniform', or c|C)ertify the calibrator", "Certify it"),
    (r"certify the calibrator", "certify it"),
    (r"rows: certify\(X, y\)", "rows: calibkit apply, then calibkit report"),
    (r", or method='bootstrap'[^.]*", ""),
    (r": np\.clip\(.*?\)", ""),
    (r", or impute the values with SimpleImputer\(.*?\)", ""),
    (r" If the task has another column in the other file, [^:]*: task='\.\.\.'\.", ""),
    (r"pass 1 - score \(for log-odds -score\)", "name that label: --positive LABEL"),
    (r"\bof X\b", "of --prob"),
    (
        r"ScalingBinningCalibrator\(n_bins=(\d+)\)",
        r"calibkit fit --calibrator scaling_binning --bins \1",
    ),
    (r"\bclasses=\[\.\.\.\]", "--classes"),
    (r"read_generations\(\.\.\., signals=\[\.\.\.\]\)|signals=\['\.\.\.'\]", "--signal NAME"),
    (r"\b(column|keep|table) holds\b", r"--\1 holds"),
    (r"\bPass table, ", "Add --table, "),
    (r"\bas pos_label\b", "as --positive"),
    (r"\bby pos_label\b(?!=)", "by --positive"),
)
_SETTING = re.compile(
    rf"\b({'|'.join((*_RENAMED, *_ALIKE))})=('[^']*'|\"[^\"]*\"|[-+]?\d[\d.]*\d|\w+)"
)
_BINS = re.compile(r"\bn_bins='?(\w+)'?")
_CLASS = {cls.__name__: name for name, cls in CALIBRATORS.items()}
_CLASSES = re.compile(rf"\b({'|'.join(_CLASS)})\b(?![.:(])")


def as_options(text: str, command: str = "fit") -> str:
    """A message of the library with this command's options instead of Python arguments."""
    fit = "calibkit fit --logit"
    logit = fit if command == "apply" else "--logit"
    words = {"{fit}": fit if command == "fit" else logit, "{logit}": logit}
    for said, word in _WORDS:
        for name, option in words.items():
            word = word.replace(name, option)
        text = re.sub(said, word, text)
    # What was found may stay in the library's words; what to do may not.
    got, expected, advice = text.partition("; expected")
    if not expected:
        got, advice = "", text
    for name, option in _NAMES.items():
        advice = re.sub(rf"\b{name}\b", option, advice)
    advice = _SETTING.sub(lambda m: f"{_option(m[1])} {_value(m[2])}", advice)
    text = _BINS.sub(r"--bins \1", got + expected + advice)
    return _CLASSES.sub(lambda m: _CLASS[m[1]], text)


def _option(setting: str) -> str:
    return "--" + _RENAMED.get(setting, setting).replace("_", "-")


def _value(text: str) -> str:
    """The value as typed in a shell: in quotes where needed."""
    inner = text[1:-1] if text[0] in "'\"" else text
    return inner if re.fullmatch(r"[\w.+-]+", inner) else f"'{inner}'"
