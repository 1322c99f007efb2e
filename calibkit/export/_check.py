"""Run an export where its engine is installed, and compare it with the fitted object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import InputError, InputTypeError
from .._core.params import check_int, check_real, check_seed
from .._core.printed import a_type, few, spelled
from .._typing import FloatArray
from ._golden import ENGINES, Results, golden_vectors, rounded
from ._maps import program_of
from ._program import Program

#: ONNX's number for single precision.
_SINGLE = 1


@dataclass(frozen=True)
class ExportCheck:
    """How an export compares with the fitted object, on scores that are hard to get right.

    Attributes
    ----------
    engine : str
        What the export was run by, with its version.
    n_scores : int
        Number of rows.
    largest_difference : float
        Largest difference of a number.
    n_beyond : int
        Number of rows with a larger difference than the tolerance.
    n_other : int
        Number of rows with another label or decision, or where a result is missing in one of the
        two only. Labels of probabilities that are equal up to the tolerance are not compared.
    bins_exact : bool or None
        Whether each score is in the same bin; None for a map without bins.

    Examples
    --------
    >>> from calibkit.export import ExportCheck
    >>> print(ExportCheck("SQLite 3.46.0", 10_000, 2.2e-16, 0, 0, None))
    SQLite 3.46.0 on 10,000 scores: largest difference 2.2e-16; the same labels, decisions and \
missing results.
    """

    engine: str
    n_scores: int
    largest_difference: float
    n_beyond: int
    n_other: int
    bins_exact: bool | None

    @property
    def passed(self) -> bool:
        """Whether there is no difference beyond the tolerance."""
        return self.n_beyond == self.n_other == 0 and self.bins_exact is not False

    def __str__(self) -> str:
        text = f"{self.engine} on {self.n_scores:,} scores: largest difference "
        text += f"{self.largest_difference:.2g}"
        if self.n_beyond:
            text += f", beyond the tolerance in {self.n_beyond:,} rows"
        if self.bins_exact is not None:
            text += "; the same bins" if self.bins_exact else "; OTHER BINS"
        if self.n_other:
            return text + f"; OTHER labels, decisions or missing results in {self.n_other:,} rows."
        return text + "; the same labels, decisions and missing results."


def check_export(
    obj: Any, artefact: Any, *, n: int = 10_000, tolerance: float = 1e-12, random_state: Any = 0
) -> ExportCheck:
    """Run an export, and compare its results with those of the fitted object.

    The scores are those of :func:`golden_vectors`. SQL for SQLite is run by Python itself; other
    exports need their engine: DuckDB, onnxruntime, node, gcc, a JDK or rustc.

    Parameters
    ----------
    obj : calibrator, CalibratedClassifier, threshold, policy, rule or QuantileCalibrator
        Fitted; what was exported.
    artefact : str or onnx.ModelProto
        What a function of :mod:`calibkit.export` returned.
    n : int, default=10_000
        Number of scores.
    tolerance : float, default=1e-12
        Largest difference of a number. Use 1e-6 for exports in single precision: their scores are
        rounded to it, and those that are on a border then are left out.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the random scores.

    Returns
    -------
    check : ExportCheck
        Prints as a sentence; ``check.passed`` says whether everything agrees.

    Raises
    ------
    TypeError
        If the artefact was not made by calibkit.
    ValueError, ImportError
        If the engine is not installed (the message names it), or the artefact takes other scores
        than the object.

    Examples
    --------
    >>> from calibkit import PlattCalibrator
    >>> from calibkit.export import check_export, to_sql
    >>> cal = PlattCalibrator().fit([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1])
    >>> check_export(cal, to_sql(cal, dialect="sqlite")).passed
    True
    """
    check_int("n", n, low=10, high=10_000_000)
    check_real("tolerance", tolerance, low=0.0)
    check_seed(random_state)
    run, version = ENGINES[_language(artefact)]
    engine = version()
    program = program_of(obj, labels=True)
    tensor = artefact.graph.input[0].type.tensor_type if hasattr(artefact, "graph") else None
    taken = len(getattr(artefact, "facts", program.facts)["inputs"])
    taken = taken if tensor is None else tensor.shape.dim[1].dim_value
    if taken != program.n_inputs:
        raise InputError(
            f"artefact takes {taken} score(s) and obj {program.n_inputs}; expected the object that "
            "was exported."
        )
    columns, wanted = golden_vectors(obj, n, labels=True, random_state=random_state)
    if tensor is not None and tensor.elem_type == _SINGLE:
        columns, wanted = rounded(obj, columns)
    found = run(artefact, columns)
    if strange := [k for k, v in found.items() if k not in wanted or v.shape != wanted[k].shape]:
        raise InputError(
            f"artefact gives {few(strange)}, which obj doesn't give in this number; expected the "
            "object that was exported."
        )
    return compared(program, found, wanted, tolerance, engine)


def compared(
    program: Program, found: Results, wanted: Results, tolerance: float, engine: str = ""
) -> ExportCheck:
    """How the results of an export compare with those of the object."""
    n = len(next(iter(wanted.values())))
    apart, other, exact = np.zeros(n), np.zeros(n, dtype=bool), []
    for name, values in found.items():
        got, want = (a.reshape(n, -1) for a in (values, wanted[name]))
        known = ~np.isnan(want) & ~np.isnan(got)
        other |= (np.isnan(got) != np.isnan(want)).any(axis=1)
        gaps = np.zeros(got.shape)
        np.subtract(got, want, out=gaps, where=known & (got != want))  # infinities too
        distance = np.abs(gaps).max(axis=1)
        if program.results[name].kind != "real":
            tied = _tied(wanted, tolerance) if name == "label" else False
            other |= (distance > 0) & ~np.asarray(tied)
            continue
        apart = np.maximum(apart, distance)
        if program.results[name].op == "entry":
            exact.append(bool((_rounded(got, tolerance) == _rounded(want, tolerance))[known].all()))
    beyond = int((apart > tolerance).sum())
    bins = all(exact) if exact else None
    return ExportCheck(engine, n, float(apart.max()), beyond, int(other.sum()), bins)


def _language(artefact: Any) -> str:
    """The language of an artefact, or the dialect of SQL."""
    language = "onnx" if hasattr(artefact, "graph") else getattr(artefact, "language", None)
    if language is None:
        raise InputTypeError(
            f"artefact is {a_type(artefact)}; expected what to_sql, to_onnx or another function of "
            "calibkit.export returned. Export the object again: check_export needs to know the "
            "language."
        )
    if language not in ENGINES:
        raise InputError(
            f"{spelled(language)} can't be run here; expected one of {', '.join(sorted(ENGINES))}."
        )
    return str(language)


def _tied(wanted: Results, tolerance: float) -> Any:
    """Rows whose two largest probabilities are equal up to the tolerance."""
    if "probability" in wanted:
        return np.abs(2.0 * wanted["probability"] - 1.0) <= 2.0 * tolerance
    first, second = np.sort(wanted["probabilities"], axis=1).T[[-1, -2]]
    return first - second <= 2.0 * tolerance


def _rounded(values: FloatArray, tolerance: float) -> FloatArray:
    """Values of bins as the export holds them."""
    return values if tolerance < 1e-9 else values.astype(np.float32).astype(np.float64)
