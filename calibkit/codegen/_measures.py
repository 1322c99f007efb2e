"""Confidence measures from the log-probabilities of an output's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from scipy.special import xlogy

from .._core.errors import InputError
from .._core.params import check_choice, check_real
from .._numerics.ragged import (
    exp_into,
    log_mean_exp,
    quantile_fraction,
    quantile_neighbours,
    segment_blocks,
    widest_block,
)
from .._typing import FloatArray, IntArray, Scale
from ._ragged import (
    LOWEST,
    MASS_TOLERANCE,
    Ragged,
    checked,
    place,
    validate_nested,
    validate_ragged,
    warn_of_missing,
)

SCALES = get_args(Scale)

#: Measures, except entropy, and the sums over the tokens that each needs.
_NEEDS: dict[str, tuple[str, ...]] = {
    "average_token_probability": ("average",),
    "geometric_mean_probability": ("total",),
    "total_probability": ("total",),
    "min_token_probability": ("least",),
    "low_token_probability": ("quantile",),
    "perplexity": ("total",),
    "length": (),
}
#: Names of the measures that :func:`token_confidence` computes.
TOKEN_MEASURES = (*_NEEDS, "entropy")

#: Least 1 - p on the logit scale. Log-probabilities come from float32 softmaxes, whose resolution
#: just below 1 is 2**-24, so a log-probability of 0 may mean any 1 - p below this.
LEAST_MISS = 2.0**-24
#: Above this the mean of p is not computed as 1 - mean(1 - p), which would lose precision.
_LARGE_MISS = 0.9


def token_confidence(
    logprobs: Any,
    measure: str | Sequence[str] = "average_token_probability",
    *,
    quantile: float = 0.1,
    scale: Scale = "probability",
    top_logprobs: Any = None,
) -> FloatArray:
    """Compute confidence in each output from the log-probabilities of its tokens.

    Use it if the model's API returns log-probabilities of the generated tokens. The values order
    the outputs. They become probabilities of being correct only after calibration, for instance by
    :class:`~calibkit.PlattCalibrator`, on outputs whose tests were run.

    Parameters
    ----------
    logprobs : sequence of n lists, array of shape (n, n_tokens), Ragged, pandas, polars or Arrow
        Natural logarithms of the token probabilities of each output. Values below -9999.0, also
        -inf, count as -9999.0. Remove padding first. None if only the entropy is wanted.
    measure : str or list of str, default="average_token_probability"
        "average_token_probability": mean of the token probabilities p.
        "geometric_mean_probability": exp of the mean of log p. "total_probability": product of p,
        the probability of the whole output. "min_token_probability": least p.
        "low_token_probability": a low quantile of p. "length": number of tokens. "perplexity":
        inverse of the geometric mean. "entropy": entropy of the alternatives of a token in nats,
        averaged over tokens.
    quantile : float, default=0.1
        The quantile of "low_token_probability", in [0, 1]; interpolated linearly in p.
    scale : {"probability", "logit"}, default="probability"
        "logit" returns log-odds of the measures that are probabilities, computed without underflow:
        a total probability of exp(-3000) becomes -3000. Length, perplexity and entropy do not
        change.
    top_logprobs : sequence of n sequences, optional
        For "entropy": for each output and token, the log-probabilities of the most likely
        alternatives, as a list, a dict by token, or OpenAI's items; or one array of shape
        (n_tokens, k) per output.

    Returns
    -------
    confidence : ndarray of shape (n,) or, for a list of measures, (n, n_measures)
        NaN for outputs without tokens, or with a token that has no value.

    Raises
    ------
    ValueError
        If a log-probability is above 0, or probabilities of alternatives sum to more than 1.
    TypeError
        If ``logprobs`` contains values that are not numbers.

    Warns
    -----
    MissingSignalWarning
        If outputs have no signal: their number, and the first one.

    Notes
    -----
    The average is arithmetic, as in Spiess et al. (2025, section 3). On the logit scale 1 - p is at
    least 2**-24, the resolution of the float32 softmax that log-probabilities come from; p has no
    lower limit. The entropy counts all probability outside the given alternatives as one outcome,
    so the value is a lower bound. Float32 input is summed in float32. The tokens are read once in
    blocks: O(n_tokens) time, and extra memory for one block.

    References
    ----------
    C. Spiess et al. (2025). Calibration and correctness of language models for code. ICSE.

    Examples
    --------
    A long output's total probability underflows; its log-odds don't.

    >>> from calibkit.codegen import token_confidence
    >>> outputs = [[-0.1, -0.2], [-3.0] * 1000]
    >>> token_confidence(outputs, "total_probability").round(4).tolist()
    [0.7408, 0.0]
    >>> token_confidence(outputs, "total_probability", scale="logit").round(4).tolist()
    [1.0502, -3000.0]
    """
    return measure_tokens(logprobs, measure, quantile, scale, top_logprobs)


def measure_tokens(
    logprobs: Any,
    measure: str | Sequence[str],
    quantile: float,
    scale: Scale,
    top_logprobs: Any,
    names: tuple[str, str] = ("logprobs", "top_logprobs"),
) -> FloatArray:
    """:func:`token_confidence`, with the arguments' names in messages."""
    several = not isinstance(measure, str) and hasattr(measure, "__iter__")
    names_of: list[Any] = list(measure) if several else [measure]
    if not names_of:
        raise InputError("measure is an empty list; expected at least one measure.")
    for name in names_of:
        check_choice("measure", name, TOKEN_MEASURES)
    check_choice("scale", scale, SCALES)
    check_real("quantile", quantile, low=0.0, high=1.0)
    columns: dict[str, FloatArray] = {}
    why = "no tokens"
    wanted = [m for m in names_of if m != "entropy"]
    if wanted:
        tokens = validate_ragged(logprobs, names[0])
        columns, why = _measures(tokens, wanted, quantile, scale, names[0])
    if "entropy" in names_of:
        columns["entropy"], why_entropy = _entropy(top_logprobs, names[1])
        why = why if any(np.isnan(columns[m].sum()) for m in wanted) else why_entropy
    sizes = {len(c) for c in columns.values()}
    if len(sizes) > 1:
        raise InputError(
            f"{names[0]} has {len(columns[wanted[0]])} outputs and {names[1]} "
            f"{len(columns['entropy'])}; expected the same number of outputs in both."
        )
    lacking = [m for m in names_of if np.isnan(columns[m].sum())]
    if lacking:
        missing = np.any([np.isnan(columns[m]) for m in lacking], axis=0)
        warn_of_missing(lacking, missing, why)
    if isinstance(measure, str):
        return columns[measure]
    return np.column_stack([columns[m] for m in names_of])


def _measures(
    tokens: Ragged, wanted: Sequence[str], quantile: float, scale: Scale, name: str
) -> tuple[dict[str, FloatArray], str]:
    """The columns, and the reason why the first output without a value has none."""
    lengths = np.diff(tokens.offsets)
    full = np.flatnonzero(lengths)
    edges, sizes = tokens.offsets, lengths
    if len(full) < len(lengths):
        edges, sizes = edges[np.append(full, -1)], lengths[full]
    needs = {need for m in wanted for need in _NEEDS[m]}
    sums = _one_pass(tokens, edges, needs, quantile, scale, name) if needs else {}
    columns: dict[str, FloatArray] = {}
    why = "no tokens"
    for m in wanted:
        if m == "length":
            columns[m] = lengths.astype(np.float64)
            continue
        columns[m] = column = _finish(m, sums, sizes, quantile, scale)
        if len(full) < len(lengths):
            columns[m] = np.full(len(lengths), np.nan)
            columns[m][full] = column
        if np.isnan(column.sum()) and lengths[np.isnan(columns[m]).argmax()]:
            why = "a token without a log-probability"
    return columns, why


@np.errstate(over="ignore")  # masked tokens of -3e38 are floored afterwards
def _one_pass(
    tokens: Ragged, edges: IntArray, needs: set[str], quantile: float, scale: Scale, name: str
) -> dict[str, FloatArray]:
    """The sums per output that the measures need; each block of tokens is read once."""
    n = len(edges) - 1
    sums: dict[str, FloatArray] = {need: np.empty(n) for need in needs}
    if "quantile" in needs:
        sums["upper"] = np.empty(n)
    if "average" in needs and scale == "logit":
        sums["log_average"] = np.full(n, np.nan)
    scratch = np.empty(widest_block(edges), dtype=tokens.values.dtype)
    for rows in segment_blocks(edges):
        first = edges[rows.start]
        block = tokens.values[first : edges[rows.stop]]
        block = checked(block, int(first), (tokens.offsets,), name)
        starts, room = edges[rows] - first, scratch[: len(block)]
        if "total" in needs:
            sums["total"][rows] = _sums(block, starts, room)
        if "least" in needs:
            sums["least"][rows] = np.minimum.reduceat(block, starts)
        if "quantile" in needs:
            sums["quantile"][rows], sums["upper"][rows] = quantile_neighbours(
                block, starts, quantile
            )
        if "log_average" in sums:
            miss = -np.add.reduceat(np.expm1(block, out=room), starts)
            sums["average"][rows] = miss
            if (miss > _LARGE_MISS * np.diff(starts, append=len(block))).any():
                sums["log_average"][rows] = log_mean_exp(np.maximum(block, LOWEST), starts, room)
        elif "average" in needs:
            sums["average"][rows] = np.add.reduceat(exp_into(block, room), starts)
    return sums


def _sums(block: FloatArray, starts: IntArray, room: FloatArray) -> FloatArray:
    """Sums of log-probabilities of at least ``LOWEST`` each."""
    sums = np.add.reduceat(block, starts)
    if (sums < LOWEST).any():  # rare, so most blocks need no comparison per token
        sums = np.add.reduceat(np.maximum(block, LOWEST, out=room), starts)
    return sums


def _finish(
    measure: str, sums: dict[str, FloatArray], n: IntArray, quantile: float, scale: Scale
) -> FloatArray:
    """A measure from the sums."""
    if measure == "average_token_probability":
        return _average(sums, n, scale)
    if measure == "low_token_probability":
        t = quantile_fraction(n, quantile)
        low = np.maximum(sums["quantile"], LOWEST)
        high = np.maximum(sums["upper"], LOWEST)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = np.logaddexp(np.log1p(-t) + low, np.log(t) + high)
        return _on_scale(log_p, (t - 1.0) * np.expm1(low) - t * np.expm1(high), scale)
    if measure == "min_token_probability":
        log_p = np.maximum(sums["least"], LOWEST)
    else:
        log_p = sums["total"] if measure == "total_probability" else sums["total"] / n
    if measure == "perplexity":
        return np.exp(np.minimum(-log_p, 700.0))  # so that it is finite
    return _on_scale(log_p, -np.expm1(log_p), scale)


def _average(sums: dict[str, FloatArray], n: IntArray, scale: Scale) -> FloatArray:
    if scale == "probability":
        return np.minimum(sums["average"] / n, 1.0)
    miss = sums["average"] / n
    log_p = np.where(
        miss <= _LARGE_MISS, np.log1p(-np.minimum(miss, _LARGE_MISS)), sums["log_average"]
    )
    return _on_scale(log_p, miss, scale)


def _on_scale(log_p: FloatArray, miss: FloatArray, scale: Scale) -> FloatArray:
    """A probability from its logarithm, or its log-odds with 1 - p given."""
    if scale == "probability":
        return np.exp(log_p)
    return log_p - np.log(np.maximum(miss, LEAST_MISS))


def _entropy(top_logprobs: Any, name: str) -> tuple[FloatArray, str]:
    if top_logprobs is None:
        raise InputError(
            f"{name} is None; expected the log-probabilities of the alternatives of each token. "
            f"Pass {name}, or drop 'entropy' from the measures."
        )
    alternatives, tokens = validate_nested(top_logprobs, name)
    edges, n_tokens = alternatives.offsets, np.diff(tokens)
    given = np.flatnonzero(np.diff(edges))
    per_token = np.full(len(edges) - 1, np.nan)
    filled = edges[np.append(given, -1)]
    for rows in segment_blocks(filled):
        first = filled[rows.start]
        block = alternatives.values[first : filled[rows.stop]].astype(np.float64)
        block = checked(block, int(first), (tokens, edges), name)
        block = np.maximum(block, LOWEST)
        p, starts = np.exp(block), filled[rows] - first
        mass = np.add.reduceat(p, starts)
        if (mass > 1.0 + MASS_TOLERANCE).any():
            i = int(np.argmax(mass > 1.0 + MASS_TOLERANCE))
            raise InputError(
                f"the alternatives of {name} at {place(int(given[rows][i]), tokens)} have a total "
                f"probability of {mass[i]:.6g}; expected at most 1. List each token once."
            )
        rest = np.maximum(1.0 - mass, 0.0)
        per_token[given[rows]] = -np.add.reduceat(p * block, starts) - xlogy(rest, rest)
    out, full = np.full(len(n_tokens), np.nan), np.flatnonzero(n_tokens)
    if len(full):
        out[full] = np.add.reduceat(per_token[: tokens[-1]], tokens[full]) / n_tokens[full]
    none = np.flatnonzero(np.isnan(out))
    empty = len(none) == 0 or n_tokens[none[0]] == 0
    return out, "no tokens" if empty else "a token without alternatives"
