"""Join outputs (generations) with their test results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.printed import a_type, spelled
from .._core.warnings import UnmatchedWarning, VerdictAsSignalWarning, warn
from .._typing import Scale, SignalScale
from ..decisions import Signals
from ._formats._item import OWN_TASK
from ._records import Generations, Results, rows_of

_SHOWN = 3
#: From so many outputs on, a two-valued signal that equals the label is suspicious.
_LEAST_TOLD = 4


@dataclass(frozen=True, eq=False, repr=False)
class Scored:
    """Outputs with their labels (correct or wrong), from :func:`join_results`.

    Parameters
    ----------
    generations : Generations
        The outputs that have a result, in the order of their file.
    correct : ndarray of bool of shape (n,)
        Whether each output is correct.
    notion : str
        What "correct" means, for instance "plus tests".
    without_result, without_generation : list of str
        Outputs without a result, and results without an output: task, sample, file and line.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.codegen import Generations, Ragged, Results, join_results
    >>> ids = {"task": np.array(["a", "b"]), "sample": np.array([0, 0]), "place": ["1", "2"]}
    >>> tokens = Ragged(np.array([-0.1, -0.3, -2.0]), np.array([0, 2, 3]))
    >>> scored = join_results(
    ...     Generations(text=["", ""], logprobs=tokens, **ids),
    ...     Results(correct=np.array([True, False]), notion="tests", **ids),
    ... )
    >>> scored.confidence("total_probability")["total_probability"].round(3)
    array([0.67 , 0.135])
    """

    generations: Generations
    correct: np.ndarray
    notion: str
    without_result: list[str]
    without_generation: list[str]

    def __len__(self) -> int:
        return len(self.correct)

    @property
    def groups(self) -> np.ndarray:
        """The task of each output; outputs of one task must stay in one fold."""
        return self.generations.task

    @property
    def n_unmatched(self) -> int:
        """Number of outputs without a result, plus results without an output."""
        return len(self.without_result) + len(self.without_generation)

    def __repr__(self) -> str:
        n_tasks, n_correct = len(np.unique(self.groups)), np.count_nonzero(self.correct)
        return (
            f"Scored({len(self):,} outputs of {n_tasks:,} tasks; {n_correct:,} correct by "
            f"{self.notion}; {len(self.without_result):,} generations without a result, "
            f"{len(self.without_generation):,} results without a generation)"
        )

    def confidence(
        self,
        measures: str | Iterable[str] | None = None,
        *,
        quantile: float = 0.1,
        scale: Scale = "probability",
    ) -> Signals:
        """Compute confidence signals by name, as :meth:`Generations.confidence` does.

        Parameters
        ----------
        measures : str or list of str, optional
            Names of signals from the file and of measures of :func:`token_confidence`.
        quantile : float, default=0.1
            The quantile of "low_token_probability", in [0, 1].
        scale : {"probability", "logit"}, default="probability"
            Scale of the measures that are probabilities.

        Returns
        -------
        Signals
            A dict from name to array, with the scale of each signal.
        """
        return self.generations.confidence(measures, quantile=quantile, scale=scale)

    def with_signal(
        self,
        name: str,
        values: Any,
        *,
        of: Generations | None = None,
        scale: SignalScale = "probability",
    ) -> Scored:
        """Return a copy with one more signal, as :meth:`Generations.with_signal` does.

        Parameters
        ----------
        name : str
            Name of the signal.
        values : array-like
            One number per output, or per output in ``of``.
        of : Generations, optional
            The outputs that the values belong to; they are matched by task and sample.
        scale : {"probability", "logit", "score"}, default="probability"
            Scale of the signal; "logit" means log-odds, a "score" is any other number.

        Returns
        -------
        Scored
            The copy. The signal is NaN for outputs that are not in ``of``.
        """
        more = self.generations.with_signal(name, values, of=of, scale=scale)
        warn_of_verdicts({name: more.signals[name]}, self.correct)
        return replace(self, generations=more)

    def to_pandas(self) -> Any:
        """Return a data frame with one row per output.

        Returns
        -------
        pandas.DataFrame
            The columns of :meth:`Generations.to_pandas`, and ``correct``.
        """
        return self.generations.to_pandas().assign(correct=self.correct)


def join_results(generations: Generations, results: Results) -> Scored:
    """Join outputs with their test results by task and sample number.

    Use it before :func:`evaluate_confidence`.

    Parameters
    ----------
    generations : Generations
        The outputs, from :func:`read_generations`.
    results : Results
        Their results, from :func:`read_results`.

    Returns
    -------
    Scored
        The outputs that have a result, in the order of their file. It lists rows that have no
        match. The column that the results were read from is removed from the signals.

    Raises
    ------
    ValueError
        If no task and sample match (the message shows examples and the likely cause), or if a task
        and sample occur twice.

    Warns
    -----
    UnmatchedWarning
        If outputs have no result, or results no output: their number, and the first few.
    VerdictAsSignalWarning
        If a signal equals the label or its opposite for all outputs, also in other numbers.

    Notes
    -----
    If neither file numbers the samples, they are counted in the order of the file. A missing output
    then shifts the later samples of its task. The warning says so if the counts of a task differ.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> from calibkit.codegen import join_results, read_generations, read_results
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> rows = [{"task_id": t, "logprobs": p} for t, p in (("a", [-0.1]), ("b", [-1.0, -2.0]))]
    >>> _ = (folder / "out.jsonl").write_text("\\n".join(map(json.dumps, rows)))
    >>> _ = (folder / "tests.csv").write_text("task_id,passed\\na,true\\nb,false\\n")
    >>> found = join_results(
    ...     read_generations(folder / "out.jsonl"), read_results(folder / "tests.csv")
    ... )
    >>> found.correct.tolist(), found.groups.tolist()
    ([True, False], ['a', 'b'])
    """
    if isinstance(generations, Results) and isinstance(results, Generations):
        raise InputTypeError(
            "generations and results are swapped; expected the outputs first. Call "
            "join_results(generations, results)."
        )
    for value, kind in ((generations, Generations), (results, Results)):
        if not isinstance(value, kind):
            raise InputTypeError(
                f"{kind.__name__.lower()} is {a_type(value)}; expected "
                f"{kind.__name__}. Read the file with read_{kind.__name__.lower()}."
            )
    verdicts, outputs = (rows_of(results, "results"), rows_of(generations, "generations"))
    rows = np.array([i for key, i in outputs.items() if key in verdicts], dtype=np.intp)
    if len(rows) == 0:
        raise InputError(
            f"no task and sample are in both files: generations have {_example(generations)}, "
            f"results have {_example(results)}; expected the same task and sample for an output."
            f"{_cause(generations, results)}"
        )
    _check_numbers(generations, results)
    matched = np.array([verdicts[key] for key in outputs if key in verdicts], dtype=np.intp)
    scored = Scored(
        generations.take(rows),
        results.correct[matched],
        results.notion,
        [_named(generations, i) for key, i in outputs.items() if key not in verdicts],
        [_named(results, i) for key, i in verdicts.items() if key not in outputs],
    )
    scored = _without_verdict(scored, results.column)
    warn_of_verdicts(scored.generations.signals, scored.correct)
    if scored.n_unmatched:
        shifted = generations.counted and results.counted and _counts_differ(generations, results)
        _warn(scored, shifted)
    return scored


def _check_numbers(generations: Generations, results: Results) -> None:
    """Raise where one side numbers from 1 what the other numbers from 0."""
    tasks = set(generations.task.tolist()) & set(results.task.tolist())
    ours, theirs = (
        {
            (t, s)
            for t, s in zip(side.task.tolist(), side.sample.tolist(), strict=True)
            if t in tasks
        }
        for side in (generations, results)
    )
    for from_zero, from_one in ((ours, theirs), (theirs, ours)):
        if {(t, s + 1) for t, s in from_zero} == from_one:
            raise InputError(
                "the sample numbers of all tasks are one larger in one file; expected the same "
                f"numbers.{_cause(generations, results)} Read that file with sample=lambda r: "
                "int(r['sample']) - 1."
            )


def _without_verdict(scored: Scored, column: str) -> Scored:
    """The outputs without the column of the results, if it was read as a signal too."""
    held = dict(scored.generations.signals)
    if column not in held or not _is_one_to_one(held[column], scored.correct):
        return scored
    del held[column]
    return replace(scored, generations=replace(scored.generations, signals=held))


def _is_one_to_one(values: np.ndarray, correct: np.ndarray) -> bool:
    """Whether a signal has one value for correct outputs and another for wrong ones."""
    known = ~np.isnan(values)
    right, wrong = (np.unique(values[known & (correct == c)]) for c in (True, False))
    return max(len(right), len(wrong)) == 1 and not np.array_equal(right, wrong)


def warn_of_verdicts(signals: Mapping[str, np.ndarray], correct: np.ndarray) -> None:
    """Warn of signals that equal the label: they would be judged as perfect."""
    if not 0 < np.count_nonzero(correct) < len(correct):
        return  # then any constant equals the label
    verdicts = (correct, ~correct, np.where(correct, 1, -1))
    same = []
    for name, values in signals.items():
        known = ~np.isnan(values)
        coded = known.any() and any(np.array_equal(values[known], v[known]) for v in verdicts)
        both = known.sum() >= _LEAST_TOLD and len(set(correct[known])) == 2
        if coded or (both and _is_one_to_one(values, correct)):
            same.append(name)
    if same:
        warn(
            f"{', '.join(map(spelled, same))} equals the label (correct or wrong) or its opposite "
            "for all outputs; it is probably the test result, and its skill would be meaningless. "
            "Name the true signals: read_generations(..., signals=[...]).",
            VerdictAsSignalWarning,
        )


def _named(side: Generations | Results, i: int) -> str:
    return f"task {side.task[i]}, sample {side.sample[i]} ({side.place[i]})"


def _example(side: Generations | Results) -> str:
    return _named(side, 0) if len(side) else "no rows"


def _counts_differ(generations: Generations, results: Results) -> bool:
    """Whether a task in both files has more samples in one of them."""
    n = dict(zip(*np.unique(generations.task, return_counts=True), strict=True))
    other = zip(*np.unique(results.task, return_counts=True), strict=True)
    return any(n.get(task, count) != count for task, count in other)


def _warn(scored: Scored, shifted: bool) -> None:
    parts = []
    for rows, what in (
        (scored.without_result, "generations have no result"),
        (scored.without_generation, "results have no generation"),
    ):
        if rows:
            more = ", ..." if len(rows) > _SHOWN else ""
            parts.append(f"{len(rows)} {what} ({'; '.join(rows[:_SHOWN])}{more})")
    end = ""
    if shifted:
        end = (
            " The files do not number the samples, so they were counted in order, and the counts "
            "of a task differ: after a missing sample, those after it are matched wrongly. Add "
            "sample numbers to both files and name their key: sample='...'."
        )
    warn(f"{' and '.join(parts)}; {len(scored)} outputs were matched.{end}", UnmatchedWarning)


def _cause(generations: Generations, results: Results) -> str:
    """The likely reason why no row matches."""
    ours, theirs = set(generations.task.tolist()), set(results.task.tolist())
    if ours & theirs:
        a, b = int(generations.sample.min()), int(results.sample.min())
        return f" Samples are numbered from {a} in generations and from {b} in results."
    for said, plain in (
        ("upper and lower case or spaces", lambda t: t.strip().lower()),
        ("the part before the number", lambda t: re.sub(r"^.*?(\d+)$", r"\1", t)),
        ("leading zeros", lambda t: t.lstrip("0") or "0"),
    ):
        if {plain(t) for t in ours} & {plain(t) for t in theirs}:
            return (
                f" Task names differ in {said}. Read one file with a function that makes them "
                "equal, for instance task=lambda r: r['task_id'].split('/')[-1]."
            )
    return OWN_TASK
