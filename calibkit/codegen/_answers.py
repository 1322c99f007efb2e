"""Confidence from a model's answer about its own output, from agreement, and from tests."""

from __future__ import annotations

import string
from collections.abc import Sequence
from math import exp, expm1, log, nan
from typing import Any, Literal

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import check_lengths
from .._core.labels import is_missing
from .._core.params import check_choice, check_flag
from .._core.printed import spelled
from .._typing import FloatArray, IntArray, Scale
from ._measures import LEAST_MISS, SCALES
from ._ragged import LOWEST, MASS_TOLERANCE, TOLERANCE, validate_ragged, warn_of_missing

#: Characters that are ignored around an answer: spaces, punctuation, and the marks of tokenizers
#: for a space and a line break.
_AROUND = string.whitespace + string.punctuation + "\u00a0ĠĊ▁“”‘’«»…。"


def _log_sum(logs: list[float]) -> float:
    """log(sum(exp)) of a few numbers, at most 0; SciPy's takes as long as a thousand of them."""
    top = max(logs)
    return min(top + log(sum(exp(v - top) for v in logs)), 0.0)


def _bare(token: str) -> str:
    return token.strip(_AROUND).casefold()


def p_true(
    answers: Any,
    *,
    true: str | Sequence[str] = ("true",),
    false: str | Sequence[str] = ("false",),
    normalised: bool = False,
    absent: Literal["nan", "bound"] = "nan",
    scale: Scale = "probability",
) -> FloatArray:
    """Compute P(True): the probability of "True" when the model is asked if its output is correct.

    Use it with one more model call per output: show the task and the code, ask "Is this correct?
    True or False:", and keep the log-probabilities of the first answer token. It costs more than
    the measures of :func:`token_confidence`, and uncalibrated it is often worse.

    Parameters
    ----------
    answers : sequence of n
        For each output, the most likely first tokens of the answer: a dict from token to
        log-probability, a list of ``(token, logprob)`` pairs, or OpenAI's
        ``logprobs.content[0].top_logprobs``, a list of ``{"token", "logprob"}``. None where there
        is no answer. The ``first_tokens`` of :func:`read_generations` have this form.
    true, false : str or sequence of str, default=("true",) and ("false",)
        The words that mean yes and no. Case, spaces, quotes, punctuation and tokenizers' marks
        (Ġ, ▁) around them are ignored; the probabilities of all variants of a word are summed.
    normalised : bool, default=False
        Return P(True) / (P(True) + P(False)) instead.
    absent : {"nan", "bound"}, default="nan"
        What to do if a word is not among the tokens. "nan": return NaN. "bound": use its largest
        possible probability, the smaller of the least probability listed and the mass not listed.
    scale : {"probability", "logit"}, default="probability"
        "logit" returns log-odds, computed from the log-probabilities without underflow.

    Returns
    -------
    confidence : ndarray of shape (n,)
        NaN where a word is needed and not listed. With ``normalised=True`` it is also NaN, even
        with "bound", where neither word is listed.

    Raises
    ------
    ValueError
        If a log-probability is above 0, probabilities sum to more than 1, or a word is in both
        ``true`` and ``false``.
    TypeError
        If an answer has another form.

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal.

    Notes
    -----
    Spiess et al. (2025, section 3) use both forms: over the whole vocabulary, and normalized over
    the two answers. On the logit scale 1 - p is at least 2**-24, as in :func:`token_confidence`;
    the normalized log-odds are log P(True) - log P(False) without a limit.

    References
    ----------
    S. Kadavath et al. (2022). Language models (mostly) know what they know. arXiv:2207.05221.

    Examples
    --------
    >>> from calibkit.codegen import p_true
    >>> answers = [{"True": -0.7, " true": -2.3, "False": -1.1}, [("▁False", -0.1), ("True", -3)]]
    >>> p_true(answers).round(3)
    array([0.597, 0.05 ])
    >>> p_true(answers, normalised=True).round(3)
    array([0.642, 0.052])
    """
    return ask(answers, true, false, normalised, absent, scale)


def ask(
    answers: Any,
    true: str | Sequence[str],
    false: str | Sequence[str],
    normalised: bool,
    absent: str,
    scale: Scale,
    name: str = "answers",
) -> FloatArray:
    """:func:`p_true`, with the argument's name in messages."""
    check_flag("normalised", normalised)
    check_choice("absent", absent, ("nan", "bound"))
    check_choice("scale", scale, SCALES)
    yes, no = _words(true, "true"), _words(false, "false")
    if yes & no:
        raise InputError(
            f"{spelled(sorted(yes & no)[0])} is in true and in false (case and punctuation are "
            "ignored); expected different words. Drop it from one of them."
        )
    bare: dict[str, str] = {}  # tokens repeat: each is stripped once
    rows = validate_list(answers, name)
    out, why = np.full(len(rows), nan), ""
    for i, answer in enumerate(rows):
        listed = [] if is_missing(answer) else _listed(answer, i, name)
        masses: tuple[list[float], list[float]] = ([], [])
        for token, logprob in listed:
            word = bare.get(token)
            if word is None:
                word = bare[token] = _bare(token)
            if word in yes or word in no:
                masses[word in no].append(logprob)
        out[i] = _answer(masses, listed, normalised, absent, scale)
        if not why and np.isnan(out[i]):
            why = "the words are not among its tokens" if listed else "no answer"
    missing = np.isnan(out)
    signal = "p_true_normalised" if normalised else "p_true"
    warn_of_missing([signal], missing, why)
    return out


def _answer(
    masses: tuple[list[float], list[float]],
    listed: list[tuple[str, float]],
    normalised: bool,
    absent: str,
    scale: Scale,
) -> float:
    logs = [_log_sum(f) if f else nan for f in masses]
    if absent == "bound" and listed and not (normalised and not any(masses)):
        values = [v for _, v in listed]
        rest = -expm1(_log_sum(values))
        bound = max(min(min(values), log(rest) if rest > 0 else LOWEST), LOWEST)
        logs = [bound if v != v else v for v in logs]
    yes, no = logs
    if yes != yes or (normalised and no != no):
        return nan
    if normalised and max(yes, no) <= LOWEST:
        return nan  # 0 / 0
    if normalised:
        return yes - no if scale == "logit" else float(np.exp(-np.logaddexp(0.0, no - yes)))
    if scale == "logit":
        return yes - log(max(-expm1(yes), LEAST_MISS))
    return exp(yes)


def _words(words: str | Sequence[str], name: str) -> set[str]:
    several = not isinstance(words, str) and hasattr(words, "__iter__")
    given: list[Any] = list(words) if several else [words]
    for w in given:
        if not isinstance(w, str) or not _bare(w):
            raise InputError(f"{name} holds {spelled(w)}; expected words, not punctuation alone.")
    if not given:
        raise InputError(f"{name} is empty; expected at least one word.")
    return {_bare(w) for w in given}


def validate_list(data: Any, name: str) -> list[Any]:
    """One entry per output, of any kind of column."""
    if isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__"):
        raise InputTypeError(
            f"{name} is {spelled(data):.40} ({type(data).__name__}); expected a list with one "
            f"entry per output. For a single output pass [{name}]."
        )
    for method in ("to_list", "to_pylist", "tolist"):
        if hasattr(data, method):
            rows = getattr(data, method)()
            return rows if isinstance(rows, list) else [rows]
    return list(data)


def _listed(answer: Any, i: int, name: str) -> list[tuple[str, float]]:
    """Tokens and log-probabilities of one answer."""
    pairs: list[tuple[Any, Any]]
    several = isinstance(answer, (list, tuple, np.ndarray))
    if several and any(isinstance(a, dict) and "top_logprobs" in a for a in answer):
        raise InputError(
            f"{name}[{i}] holds all tokens of a text, as logprobs.content does; expected the "
            "alternatives of the first token. Pass content[0]['top_logprobs']."
        )
    if isinstance(answer, dict):
        pairs = list(answer.items())
    elif several:
        pairs = [
            (a.get("token"), a.get("logprob")) if isinstance(a, dict) else _pair(a) for a in answer
        ]
    else:
        pairs = [(None, answer)]
    listed = []
    for token, value in pairs:
        if isinstance(token, str) and is_missing(value):
            continue  # in a column of structs every row has all tokens, most of them null
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not (isinstance(token, str) and number):
            raise InputTypeError(
                f"{name} holds {spelled(answer):.60} at output {i}; expected a dict from token to "
                "log-probability, or a list of (token, logprob) or of {'token', 'logprob'}."
            )
        value = max(min(value, 1e300), LOWEST)  # an int may be too large for float()
        if value > TOLERANCE:
            raise InputError(
                f"{name} holds values above 0 ({value:.6g} for {spelled(token)} at output {i}); "
                "expected log-probabilities. For probabilities take np.log first."
            )
        listed.append((token, min(float(value), 0.0)))
    mass = sum(exp(v) for _, v in listed)
    if mass > 1.0 + MASS_TOLERANCE:
        raise InputError(
            f"the tokens of {name} at output {i} have a total probability of {mass:.6g}; expected "
            "at most 1. List each token once, and only tokens of one position."
        )
    return listed


def _pair(item: Any) -> tuple[Any, Any]:
    pair = isinstance(item, (list, tuple, np.ndarray)) and len(item) == 2
    return (item[0], item[1]) if pair else (None, item)


def agreement(answers: Any, groups: Any, *, leave_one_out: bool = False) -> FloatArray:
    """Compute self-consistency: the share of a prompt's samples with the same answer.

    Use it if you drew several samples per prompt and can compare their answers: final values,
    outputs on test inputs, or normalized code. It needs no log-probabilities.

    Parameters
    ----------
    answers : sequence of n
        The answer of each sample: a string, number, tuple or other hashable value. None, NaN or a
        text of white space only means no answer.
    groups : sequence of n
        The prompt of each sample.
    leave_one_out : bool, default=False
        Exclude the sample itself from the count: (same - 1) / (samples - 1). The only sample of a
        prompt then gets NaN instead of 1.

    Returns
    -------
    confidence : ndarray of shape (n,)
        NaN for samples without an answer. These count among the samples of the prompt, but agree
        with no other sample.

    Raises
    ------
    ValueError
        If the numbers of groups and answers differ, or a group is missing.
    TypeError
        If answers cannot be compared (lists, dicts).

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal.

    Notes
    -----
    Majority voting takes the answer with the largest share (Wang et al., 2023). The sample itself
    counts, so with k samples the least share is 1/k. O(n log n) time.

    References
    ----------
    X. Wang et al. (2023). Self-consistency improves chain of thought reasoning in language
    models. ICLR.

    Examples
    --------
    >>> from calibkit.codegen import agreement
    >>> agreement(["4", "4", "5", "7"], ["a", "a", "a", "b"]).round(3)
    array([0.667, 0.667, 0.333, 1.   ])
    """
    check_flag("leave_one_out", leave_one_out)
    rows, prompts = validate_list(answers, "answers"), validate_list(groups, "groups")
    check_lengths(len(rows), len(prompts), ("answers", "groups"))
    rows = [None if isinstance(v, str) and not v.strip() else v for v in rows]
    codes, group = _codes(rows, "answers"), _codes(prompts, "groups")
    if (group < 0).any():
        raise InputError(
            f"groups has no value at row {int(np.argmax(group < 0))}; expected the prompt of every "
            "sample. Drop the samples without a prompt."
        )
    if not len(codes):
        return np.empty(0)
    _, cell, counts = np.unique(
        group * (codes.max() + 2) + codes, return_inverse=True, return_counts=True
    )
    own = float(leave_one_out)
    same, samples = counts[cell] - own, np.bincount(group)[group] - own
    share = np.full(len(codes), nan)
    known = (codes >= 0) & (samples > 0)
    share[known] = same[known] / samples[known]
    lone = bool((codes >= 0)[~known].any())
    first = int(np.argmax(~known))
    why = "the only sample of its prompt" if lone and codes[first] >= 0 else "no answer"
    warn_of_missing(["agreement"], ~known, why)
    return share


def _codes(rows: list[Any], name: str) -> IntArray:
    """A number for each distinct value; -1 for what is missing."""
    known: dict[Any, int] = {}
    try:
        codes = [-1 if is_missing(v) else known.setdefault(v, len(known)) for v in rows]
    except TypeError as error:
        raise InputTypeError(
            f"{name} holds values that can't be compared ({spelled(error)}); expected strings, "
            "numbers or tuples. Convert them, for instance with repr."
        ) from error
    return np.array(codes, dtype=np.int64)


def test_pass_rate(passed: Any) -> FloatArray:
    """Compute the share of tests that each output passes.

    Use it with tests that do not decide whether the output is correct, for instance tests that the
    model wrote. With the tests that decide, it would be the label, not a signal.

    Parameters
    ----------
    passed : sequence of n lists of bool, or Arrow, pandas or polars lists
        For each output, whether each test passed: True, False, 1 or 0.

    Returns
    -------
    confidence : ndarray of shape (n,)
        NaN for outputs without tests, or with a test without a result.

    Raises
    ------
    ValueError
        If there is another value.

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal.

    Examples
    --------
    >>> from calibkit.codegen import test_pass_rate
    >>> test_pass_rate([[True, False, True, True], [False]])
    array([0.75, 0.  ])
    """
    tests = validate_ragged(passed, "passed")
    values = tests.values[tests.offsets[0] : tests.offsets[-1]].astype(np.float64)
    bad = ~(np.isnan(values) | (values == 0) | (values == 1))
    if bad.any():
        raise InputError(
            f"passed holds {values[bad][0]:.6g}; expected True or False for each test. If these "
            "are pass rates, use them as the signal directly."
        )
    offsets = tests.offsets - tests.offsets[0]
    n, full = np.diff(offsets), np.flatnonzero(np.diff(offsets))
    share = np.full(len(n), nan)
    if len(full):
        share[full] = np.add.reduceat(values, offsets[full]) / n[full]
    missing = np.isnan(share)
    why = "no tests" if missing.any() and not n[np.argmax(missing)] else "a test without a result"
    warn_of_missing(["test_pass_rate"], missing, why)
    return share


test_pass_rate.__test__ = False  # type: ignore[attr-defined]  # pytest would run it as a test
