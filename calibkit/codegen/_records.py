"""Generations (outputs of a model) and Results (whether they are correct)."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.inputs import RANGE_TOLERANCE
from .._core.optional import require
from .._core.params import advice, check_choice
from .._core.printed import a_type, listed, spelled
from .._core.signals import SCALES, validate_signals
from .._core.warnings import MissingSignalWarning
from .._typing import FloatArray, IntArray, Scale, SignalScale
from ..decisions import Signals
from ._measures import TOKEN_MEASURES, measure_tokens
from ._ragged import Ragged

#: Names of the token measures that are probabilities.
PROBABILITIES = TOKEN_MEASURES[:5]


@dataclass(frozen=True, eq=False, repr=False)
class Generations:
    """A model's outputs, one row each, from :func:`read_generations`.

    Parameters
    ----------
    task : ndarray of str of shape (n,)
        The problem that each output is for.
    sample : ndarray of int of shape (n,)
        Number of the output among the outputs of its task.
    text : list of str
        The generated text; "" where the file has none.
    logprobs : Ragged
        Log-probabilities of the tokens (natural logarithm); an empty list for an output without
        any, NaN for a token without one.
    place : list of str
        File and line of each output.
    top_logprobs : Ragged of Ragged, or None
        Log-probabilities of the most likely tokens at each position; None if no output has any.
    signals : dict of str to ndarray of shape (n,)
        Further numbers from the file; NaN where an output has none.
    labels : dict of str to ndarray of str of shape (n,)
        Further texts from the file, for instance the model or the repository.
    errors : tuple of str
        Failed requests, which gave no output: place and message.
    counted : bool
        Whether the samples were counted in the order of the file, because it does not number them.
    n_repeated : int
        Number of rows left out because an earlier row has the same task, sample and content.
    scales : dict of str to str
        Scales of signals that were declared by :meth:`with_signal`.
    first_tokens : list of n
        Most likely first tokens with their log-probabilities, for :func:`p_true`; None where there
        are none.

    Examples
    --------
    If no reader fits your data, make it directly:

    >>> import numpy as np
    >>> from calibkit.codegen import Generations, Ragged
    >>> Generations(
    ...     task=np.array(["a", "b"]),
    ...     sample=np.array([0, 0]),
    ...     text=["return 1", "return 2"],
    ...     logprobs=Ragged(np.array([-0.1, -0.3, -2.0]), np.array([0, 2, 3])),
    ...     place=["my database, row 0", "my database, row 1"],
    ... )
    Generations(2 outputs of 2 tasks; 2 with log-probabilities)
    """

    task: np.ndarray
    sample: IntArray
    text: list[str]
    logprobs: Ragged
    place: list[str]
    top_logprobs: Ragged | None = None
    signals: dict[str, FloatArray] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    counted: bool = False
    n_repeated: int = 0
    scales: dict[str, SignalScale] = field(default_factory=dict)
    first_tokens: list[list[tuple[str, float]] | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.task)

    @property
    def n_without_logprobs(self) -> int:
        """Number of outputs that have no log-probabilities."""
        return int(np.count_nonzero(np.diff(self.logprobs.offsets) == 0))

    def __repr__(self) -> str:
        n, bare = len(self), self.n_without_logprobs
        said = [f"{n:,} outputs of {len(np.unique(self.task)):,} tasks"]
        said.append(f"{n - bare:,} with log-probabilities" if bare < n else "no log-probabilities")
        if self.signals:
            said.append(f"signals: {', '.join(self.signals)}")
        if self.errors:
            said.append(f"{len(self.errors):,} failed requests")
        if self.n_repeated:
            said.append(f"{self.n_repeated:,} repeated rows left out")
        return f"Generations({'; '.join(said)})"

    def confidence(
        self,
        measures: str | Iterable[str] | None = None,
        *,
        quantile: float = 0.1,
        scale: Scale = "probability",
    ) -> Signals:
        """Compute confidence signals by name, for :func:`evaluate_confidence`.

        Parameters
        ----------
        measures : str or list of str, optional
            Names of signals from the file and of measures of :func:`token_confidence`. Default: all
            signals from the file and, if there are log-probabilities, the five measures that are
            probabilities.
        quantile : float, default=0.1
            The quantile of "low_token_probability", in [0, 1].
        scale : {"probability", "logit"}, default="probability"
            Scale of the measures that are probabilities; signals from the file do not change.

        Returns
        -------
        Signals
            A dict from name to array, with the scale of each signal; NaN where an output has no
            value. A signal from the file has the scale "probability" if all its values are in
            [0, 1], else "score".

        Raises
        ------
        ValueError
            If a name is neither a signal from the file nor a measure, or there is no signal at all.

        Warns
        -----
        MissingSignalWarning
            If outputs have no signal: their number, and the first one.
        """
        if measures is None:
            bare = self.n_without_logprobs == len(self)
            measures = (*self.signals, *(() if bare else PROBABILITIES))
            if not measures:
                raise InputError(
                    "the outputs have neither log-probabilities nor signals; expected one of "
                    "them. Request logprobs from the model, or name columns: "
                    "read_generations(..., signals=[...])."
                )
        if not isinstance(measures, Iterable):
            raise InputError(
                f"measures={spelled(measures):.60}; expected a name, or a list of names."
            )
        names = [measures] if isinstance(measures, str) else list(measures)
        for name in names:
            check_choice("measures", name, (*self.signals, *TOKEN_MEASURES))
        wanted = [name for name in names if name not in self.signals]
        columns = dict(self.signals)
        if wanted:
            measured = measure_tokens(self.logprobs, wanted, quantile, scale, self.top_logprobs)
            columns |= zip(wanted, measured.T, strict=True)
            if "length" in wanted:  # without log-probabilities the length of a text is unknown
                bare = np.diff(self.logprobs.offsets) == 0
                columns["length"] = np.where(
                    bare & np.array(self.text, bool), np.nan, columns["length"]
                )
        own: dict[str, SignalScale] = {
            **_file_scales(self.signals),
            **self.scales,
            **dict.fromkeys(PROBABILITIES, scale),
        }
        return Signals(
            {name: columns[name] for name in names},
            {name: own.get(name, "score") for name in names},
        )

    def signal_for(self, name: str, own: Scale, scale: str) -> tuple[FloatArray, str]:
        """Return the signal for a :class:`DecisionRule`, and its scale.

        Parameters
        ----------
        name : str
            Name of the signal.
        own : str
            Scale of the rule's calibrator; token measures are computed on it.
        scale : str
            Scale of the rule.

        Returns
        -------
        values : ndarray of shape (n,)
            The signal; NaN where an output has none.
        scale : str
            Scale of the signal. A signal from the file has the rule's scale, unless
            :meth:`with_signal` declared another.

        Raises
        ------
        ValueError
            If there is no such signal, or it is on another scale.
        """
        if name not in (known := (*self.signals, *TOKEN_MEASURES)):
            raise InputError(
                f"the outputs have no signal {spelled(name)}; expected it among "
                f"{listed(list(known), what='signals')}{advice(name, known)}. Add it with "
                "with_signal."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingSignalWarning)  # decide warns
            signals = self.confidence(name, scale=own)
        values = signals[name]
        if name in self.signals and name not in self.scales:
            outside = (values < -RANGE_TOLERANCE) | (values > 1 + RANGE_TOLERANCE)
            if scale == "probability" and outside.any():
                at = int(np.argmax(outside))
                raise InputError(
                    f"{name} is {values[at]:.9g} at {self.place[at]}; expected probabilities in "
                    "[0, 1]: the rule was fitted on probabilities. Use a rule fitted on this scale."
                )
            # A column of the file is called like the token measure that the rule was fitted on.
            if scale == "logit" and name in PROBABILITIES and not outside.any():
                raise InputError(
                    f"{name} is a column of numbers in [0, 1], and the rule takes log-odds; "
                    "expected log-odds. If the column holds log-odds, declare it: "
                    f"with_signal({spelled(name)}, ..., scale='logit')."
                )
            return values, scale
        return values, signals.scales[name]

    def with_signal(
        self, name: str, values: Any, *, of: Any = None, scale: SignalScale = "probability"
    ) -> Generations:
        """Return a copy with one more signal, such as P(True) from a second file.

        Parameters
        ----------
        name : str
            Name of the signal. A signal with the same name is replaced.
        values : array-like
            One number per output; NaN where there is none.
        of : Generations or Scored, optional
            The outputs that the values belong to; they are matched by task and sample. Default: the
            values belong to these outputs, in this order.
        scale : {"probability", "logit", "score"}, default="probability"
            Scale of the signal; "logit" means log-odds, a "score" is any other number.

        Returns
        -------
        Generations
            The copy. The signal is NaN for outputs that are not in ``of``.

        Raises
        ------
        ValueError
            If the numbers of values and outputs differ, no output matches, or ``of`` contains an
            output twice.
        """
        check_choice("scale", scale, SCALES)
        if not isinstance(name, Hashable):
            raise InputError(f"name={spelled(name):.60}; expected the name of a signal.")
        owner = self if of is None else getattr(of, "generations", of)
        if not isinstance(owner, Generations):
            raise InputTypeError(
                f"of is {a_type(owner)}; expected Generations, from read_generations."
            )
        ((name, signal),) = validate_signals({name: values}, len(owner), "Generations").items()
        if of is not None:
            rows = rows_of(owner, "outputs in of")
            at = np.array([rows.get(key, -1) for key in keys_of(self)], dtype=np.intp)
            if len(at) and (at < 0).all():
                raise InputError(
                    f"no task and sample of these outputs are among those of {name}: for instance "
                    f"{next(keys_of(self))} and {next(keys_of(owner), None)}; expected the same "
                    "task and sample for an output. Set task= and sample= so that they match."
                )
            signal = np.where(at < 0, np.nan, signal[at])
        signals = {**self.signals, name: signal}
        return replace(self, signals=signals, scales={**self.scales, name: scale})

    def take(self, rows: Any) -> Generations:
        """Return some of the outputs.

        Parameters
        ----------
        rows : array of int or bool, or slice
            Numbers of the rows, in the order wanted, or a mask.

        Returns
        -------
        Generations
            The chosen rows; ``errors`` are kept.

        Raises
        ------
        ValueError
            If there are no such rows.
        """
        try:
            picked = np.arange(len(self))[rows]
            if picked.ndim != 1:
                raise IndexError(f"{picked.ndim} dimensions")
        except (IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"rows={spelled(rows):.60} is not valid for {len(self)} rows ({spelled(error)}); "
                "expected whole numbers, a mask with one entry per row, or a slice."
            ) from error
        rows = picked
        top = self.top_logprobs
        return replace(
            self,
            task=self.task[rows],
            sample=self.sample[rows],
            text=[self.text[i] for i in rows],
            place=[self.place[i] for i in rows],
            logprobs=_taken(self.logprobs, rows),
            top_logprobs=None if top is None else _taken(top, rows),
            signals={name: values[rows] for name, values in self.signals.items()},
            labels={name: values[rows] for name, values in self.labels.items()},
            first_tokens=[self.first_tokens[i] for i in rows if self.first_tokens],
        )

    def to_pandas(self) -> Any:
        r"""Return a data frame with one row per output; needs pandas.

        Returns
        -------
        pandas.DataFrame
            "logprobs" holds arrays, "top_logprobs" lists of arrays. "answer" holds the alternatives
            of the first token, for :class:`ConfidenceFeatures`. A signal or label with the name of
            another column gets the prefix "signal\_" or "label\_".
        """
        columns = {"task": self.task, "sample": self.sample, "text": self.text}
        columns["logprobs"] = _column([self.logprobs[i] for i in range(len(self))])
        if (top := self.top_logprobs) is not None:
            columns["top_logprobs"] = _column([list(top[i]) for i in range(len(self))])
        if any(self.first_tokens):
            columns["answer"] = _column(self.first_tokens)
        columns["place"] = self.place
        # Columns of the file may have one of these names.
        for kind, named in (("signal", self.signals), ("label", self.labels)):
            columns |= {f"{kind}_{k}" if k in columns else k: v for k, v in named.items()}
        return require("pandas").DataFrame(columns)


def keys_of(side: Generations | Results) -> Iterator[tuple[str, int]]:
    """Task and sample of each row, by which outputs and results are matched."""
    return zip(side.task.tolist(), side.sample.tolist(), strict=True)


def rows_of(side: Generations | Results, name: str) -> dict[tuple[str, int], int]:
    """The row of every task and sample."""
    places: dict[tuple[str, int], int] = {}
    for i, key in enumerate(keys_of(side)):
        earlier = places.setdefault(key, i)
        if earlier != i:
            raise InputError(
                f"{name} have task {key[0]}, sample {key[1]} twice, at {side.place[earlier]} and "
                f"at {side.place[i]}; expected each once. Drop one, or number the samples."
            )
    return places


def _column(values: list[Any]) -> np.ndarray:
    """Objects as a column."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _file_scales(signals: dict[str, FloatArray]) -> dict[str, SignalScale]:
    """Scales of signals from a file: "probability" if all values are in [0, 1]."""
    outside = {name: (values < 0) | (values > 1) for name, values in signals.items()}
    return {name: "score" if out.any() else "probability" for name, out in outside.items()}


def _taken(lists: Ragged, rows: IntArray) -> Ragged:
    """The lists of these rows; they may be nested."""
    lengths = np.diff(lists.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    at = np.arange(offsets[-1]) + np.repeat(lists.offsets[rows] - offsets[:-1], lengths)
    inner = lists.values
    return Ragged(_taken(inner, at) if isinstance(inner, Ragged) else inner[at], offsets)


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Test results of outputs, one row each, from :func:`read_results`.

    Parameters
    ----------
    task : ndarray of str of shape (n,)
        The problem that each output is for.
    sample : ndarray of int of shape (n,)
        Number of the output among the outputs of its task.
    correct : ndarray of bool of shape (n,)
        Whether the output is correct.
    notion : str
        What "correct" means: "plus tests", "base tests", "exact_match"... Do not compare results
        with different meanings: exact match misses correct answers, weak tests pass wrong ones.
    place : list of str
        File and line of each result.
    counted : bool
        Whether the samples were counted in the order of the file, because it does not number them.
    n_repeated : int
        Number of rows left out because an earlier row has the same task, sample and result.
    column : str
        The key that the results were read from. It is removed from the signals of the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from calibkit.codegen import Results
    >>> Results(
    ...     task=np.array(["a", "b"]),
    ...     sample=np.array([0, 0]),
    ...     correct=np.array([True, False]),
    ...     notion="unit tests",
    ...     place=["my database, row 0", "my database, row 1"],
    ... )
    Results(2 outputs of 2 tasks; 1 correct by unit tests)
    """

    task: np.ndarray
    sample: IntArray
    correct: np.ndarray
    notion: str
    place: list[str]
    counted: bool = False
    n_repeated: int = 0
    column: str = ""

    def __len__(self) -> int:
        return len(self.task)

    def __repr__(self) -> str:
        n_tasks, n_correct = len(np.unique(self.task)), np.count_nonzero(self.correct)
        more = f"; {self.n_repeated:,} repeated rows left out" if self.n_repeated else ""
        return (
            f"Results({len(self):,} outputs of {n_tasks:,} tasks; {n_correct:,} correct by "
            f"{self.notion}{more})"
        )

    def to_pandas(self) -> Any:
        """Return a data frame with one row per result; needs pandas.

        Returns
        -------
        pandas.DataFrame
            Columns ``task``, ``sample``, ``correct`` and ``place``.
        """
        names = ("task", "sample", "correct", "place")
        return require("pandas").DataFrame({name: getattr(self, name) for name in names})
