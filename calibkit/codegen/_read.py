"""Read files of outputs and of test results into Generations and Results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.printed import spelled
from ._columns import Columns, Ids
from ._formats import read_rows
from ._formats._item import Field, ReadSettings
from ._records import Generations, Results

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def read_generations(
    path: Paths,
    *,
    format: str = "auto",
    task: Field | list[str] | None = None,
    sample: Field | None = None,
    text: Field | None = None,
    logprobs: Field | None = None,
    signals: str | Iterable[str] | None = None,
    labels: str | Iterable[str] = (),
) -> Generations:
    """Read a model's outputs, with their token log-probabilities and other signals.

    Use it on files that the model's server or an evaluation harness wrote. Then use
    :func:`join_results` to add which outputs are correct.

    Parameters
    ----------
    path : str, path, or list of them
        One file or several, read in this order: JSON lines, one JSON list or object, CSV, TSV (all
        also with gzip) or Parquet. The kind of file is recognized by its content.
    format : {"auto", "openai", "vllm", "lm-eval", "evalplus", "table"}, default="auto"
        "openai": chat completions and legacy completions, also from other servers, with or without
        extra keys, or lines of the batch API. "vllm": dumps of its RequestOutput.
        "lm-eval": sample logs of lm-evaluation-harness. "evalplus": its results. "table": named
        columns, also samples of EvalPlus and human-eval. "auto": recognized by the first records.
    task : str, list of str or callable, optional
        Key that names the problem; a list of keys (joined by "/"); or a function of the record, for
        instance ``lambda r: r["custom_id"].split("#")[0]``. Default: task_id, else custom_id (batch
        API), request_id (vLLM), or the doc's task_id or doc_id (lm-eval). The key may have another
        name in the file of the results: :func:`read_results` has its own ``task``.
    sample : str or callable, optional
        Key or function for the number of the output among the outputs of its task. Default:
        ``sample``, or a column such as sample_id or completion_id whose numbers are different for
        all outputs of a task. Otherwise the outputs of a task are counted from 0 in the order of
        the file.
    text, logprobs : str or callable, optional
        Keys or functions for the output's text and its list of log-probabilities. Default: their
        places in the format. In a table the column of the text is named text, completion, solution,
        code, output, response, content, generation, generated_text or generated_code (only one of
        them filled), and that of the log-probabilities logprobs or token_logprobs (in CSV a list in
        JSON). A column tokens may hold the list of token texts. A table without a known text column
        but with another text column is an error, unless you name signals or logprobs.
    signals : str or list of str, optional
        Keys of further numbers. Default for a table: all columns of numbers, except those whose
        names mean test results (passed, is_correct), reference answers (label, correct_answer) or
        identifiers (index, problem_id), and columns that count the rows.
    labels : str or list of str, optional
        Keys of texts to keep, for instance the model or the repository.

    Returns
    -------
    Generations
        One row per output.

    Raises
    ------
    ValueError
        If a file is empty, cut off, not UTF-8, in no known format or in two formats; if a record
        lacks a field, has no text or several texts, or is a piece of a streamed response; if two
        outputs with the same task and sample differ; or if several files without sample numbers
        hold the same outputs. The message names the file and the line.

    Warns
    -----
    MissingSignalWarning
        If requests failed: their number, and the first one.
    UnmatchedWarning
        If the tokens of outputs differ from their text: the number of outputs, and the first one.

    Notes
    -----
    If tokens are given as texts, only the tokens that make up the output's text are used: the last
    such run of tokens, ignoring white space around it. Hidden reasoning, end
    tokens and tokens cut off at a stop sequence are left out. If no run of tokens equals the text,
    the output gets no log-probabilities.

    Multiple-choice tasks of lm-eval give the signal ``choice_probability``: the probability of the
    model's choice, from a softmax over the choices' log-likelihoods. OpenAI writes -9999.0 for
    tokens that are not among the 20 most likely. A failed request counts as a sample, so that later
    samples keep their numbers.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> from calibkit.codegen import read_generations
    >>> tokens = [{"token": t, "logprob": p} for t, p in (("return", -0.1), (" 1", -0.3))]
    >>> choice = {"index": 0, "message": {"content": "return 1"},
    ...           "logprobs": {"content": tokens}}
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "answers.jsonl"
    >>> _ = path.write_text(json.dumps({"task_id": "HumanEval/0", "choices": [choice]}))
    >>> found = read_generations(path)
    >>> found
    Generations(1 outputs of 1 tasks; 1 with log-probabilities)
    >>> found.confidence("total_probability")["total_probability"].round(4)
    array([0.6703])
    """
    named = [signals] if isinstance(signals, str) else signals
    settings = ReadSettings(
        task=_task(task),
        sample=sample,
        text=text,
        logprobs=logprobs,
        signals=None if named is None else tuple(named),
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
    )
    rows = Columns(settings)
    for one in _paths(path):
        rows.begin(one)
        for output in read_rows(one, format, settings, "outputs"):
            rows.add(output)
    return rows.finished()


def read_results(
    path: Paths,
    *,
    format: str = "auto",
    task: Field | list[str] | None = None,
    sample: Field | None = None,
    correct: str | None = None,
    notion: str | None = None,
) -> Results:
    """Read the test results: which outputs are correct.

    Use it on the results of a test run, or on your own table.

    Parameters
    ----------
    path : str, path, or list of them
        One file or several, as in :func:`read_generations`.
    format : {"auto", "evalplus", "lm-eval", "table"}, default="auto"
        "evalplus": its results, also of older versions. "lm-eval": sample logs of
        lm-evaluation-harness. "table": named columns, also results of human-eval.
    task, sample : str or callable, optional
        Keys or functions of this file, as in :func:`read_generations`. Their values must equal
        those of the outputs; the names of the keys may differ.
    correct : str, optional
        Key of the result: true or false, 1 or 0, passed or failed. Default: ``correct`` or
        ``passed``; in lm-eval the first of pass@1, pass_at_1, exact_match and acc. If its log has
        several filters, name metric and filter: "exact_match,strict-match".
    notion : str, optional
        What "correct" means. In EvalPlus "plus tests" (default: base tests and additional tests) or
        "base tests". In other formats a name of your choice. Default: the key, or "tests" for
        human-eval.

    Returns
    -------
    Results
        One row per output.

    Raises
    ------
    ValueError
        As in :func:`read_generations`; also if a result is neither true nor false, such as the pass
        rate of several responses, or if results of several filters are mixed.

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
    settings = ReadSettings(_task(task), sample, correct=correct, notion=notion)
    ids, verdicts, kept_notion, column = Ids(), [], None, ""
    for one in _paths(path):
        for verdict in read_rows(one, format, settings, "verdicts"):
            if kept_notion not in (None, verdict.notion):
                raise InputError(
                    f"{verdict.place}: has results by {verdict.notion}, and rows before it by "
                    f"{kept_notion}; expected one kind of result. Choose one: "
                    f"correct={spelled(verdict.notion)}."
                )
            kept_notion, column = verdict.notion, verdict.column
            earlier = ids.add(verdict.place, verdict.task, verdict.sample)
            if earlier is None:
                verdicts.append(verdict.correct)
            elif verdicts[earlier] != verdict.correct:
                raise ids.conflict(earlier, verdict.place)
    if kept_notion is None:
        raise InputError(
            f"no record has a result by correct={spelled(correct)}; expected results. Name another "
            "metric or filter: correct='...'."
        )
    return Results(
        correct=np.array(verdicts, dtype=bool), notion=kept_notion, column=column, **ids.columns()
    )


def _task(task: Any) -> Any:
    return tuple(task) if isinstance(task, list) else task


def _paths(path: Paths) -> list[Path]:
    single = isinstance(path, (str, os.PathLike)) or not hasattr(path, "__iter__")
    paths: list[Any] = [path] if single else list(path)  # type: ignore[arg-type]
    for one in paths:
        if not isinstance(one, (str, os.PathLike)):
            raise InputTypeError(f"path holds {spelled(one):.40}; expected paths of files.")
    if not paths:
        raise InputError("path is an empty list; expected at least one file.")
    return [Path(p) for p in paths]
