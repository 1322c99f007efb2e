"""Sample logs of the lm-evaluation-harness (``--log_samples``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._core.printed import spelled
from ..._numerics.links import softmax
from ..._tables.records import to_number
from ..._typing import FloatArray
from ._item import Item, Output, Verdict, keys

KEYS = "doc_id with resps or filtered_resps"
#: Metrics that are 0 or 1; the first one found is used.
METRICS = ("pass@1", "pass_at_1", "exact_match", "acc")


def fits(item: Item) -> bool:
    """Whether a record is a document with the responses to it."""
    held = item.value
    return "doc_id" in held and ("resps" in held or "filtered_resps" in held)


def _task(item: Item) -> str:
    """The document's own task_id if it has one, as in HumanEval and MBPP, else doc_id."""
    doc = item.value.get("doc")
    own = doc.get("task_id") if isinstance(doc, dict) else None
    task = item.value["doc_id"] if own is None else own
    return item.as_task(task if item.settings.task is None else item.field("task"))


def outputs(item: Item) -> Iterator[Output]:
    """One output per response, or the model's choice in multiple-choice tasks."""
    task, values = _task(item), _log_likelihoods(item)
    if values is not None:
        chosen = int(np.argmax(values))
        # With a single choice the probability means nothing.
        share = float(softmax(values)[chosen]) if len(values) > 1 else np.nan
        signals = {"choice_probability": share}
        yield Output(item.place, task, 0, _choice(item, chosen), extra=signals)
        return
    for i, text in enumerate(_texts(item)):
        yield Output(item.place, task, i, item.as_text(text))


def _responses(item: Item, first: str, other: str) -> list[Any]:
    responses = item.value.get(first) or item.value.get(other)
    if not isinstance(responses, list) or not responses:
        raise item.fail(f"has the responses {spelled(responses):.60}; expected a list of texts.")
    return responses


def _texts(item: Item) -> list[Any]:
    """The generated texts, before filters."""
    responses = _responses(item, "resps", "filtered_resps")
    return responses[0] if isinstance(responses[0], list) else responses[:1]


def _log_likelihoods(item: Item) -> FloatArray | None:
    """Log-likelihood of every choice (logged with a flag); None where text was generated."""
    responses = _responses(item, "filtered_resps", "resps")
    pairs = [f[0] if isinstance(f, list) and len(f) == 1 else f for f in responses]
    if not all(isinstance(p, list) and len(p) == 2 and _is_flag(p[1]) for p in pairs):
        return None
    if "acc_mutual_info" in item.value:  # then the second half is without the question
        pairs = pairs[: len(pairs) // 2]
    try:
        return np.array([to_number(p[0], "") for p in pairs])
    except ValueError:
        return None


def _is_flag(value: Any) -> bool:
    return str(value) in ("True", "False")


def _choice(item: Item, chosen: int) -> str:
    doc = item.value.get("doc")
    choices = doc.get("choices") if isinstance(doc, dict) else None
    named = isinstance(choices, list) and chosen < len(choices)
    return str(choices[chosen]) if named else str(chosen)  # type: ignore[index]


def verdicts(item: Item) -> Iterator[Verdict]:
    """The metric's value for the document."""
    metric, _, chosen = (item.settings.correct or "").partition(",")
    if chosen and item.value.get("filter") != chosen:
        return
    if not metric:
        metric = next((m for m in METRICS if m in item.value), "")
    if metric not in item.value:
        wanted = metric or " or ".join(METRICS)
        raise item.fail(
            f"has no {wanted}; expected a metric that is 0 or 1. {keys(item.value)} Name it: "
            "correct='...'."
        )
    value = item.value[metric]
    if _log_likelihoods(item) is None and len(_texts(item)) > 1:
        n = len(_texts(item))
        raise item.fail(
            f"{metric} is {spelled(value):.60} for {n} responses together; expected one response "
            "per document, because the log does not say which of them are correct. Run lm-eval "
            "with one response per document."
        )
    # There is one record per document and filter.
    by = item.value.get("filter", "none")
    notion = item.settings.notion or (metric if by == "none" else f"{metric},{by}")
    verdict = item.as_verdict(metric, value)
    yield Verdict(item.place, _task(item), 0, verdict, notion, metric)
