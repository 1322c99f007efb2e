"""The commands ``calibkit fit`` and ``calibkit apply``: fit a calibrator, and use it on a table."""

from __future__ import annotations

import gzip
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
from typer import Argument

from .._core.base import BaseCalibrator
from .._core.errors import message_of
from .._core.optional import require
from .._core.params import main_name
from .._core.printed import quoted
from .._core.saved import whole_file
from .._core.warnings import CalibrationWarning
from .._persistence import load, save
from .._registry import CALIBRATORS, make_calibrator, names_without
from .._report import Step
from .._tables.files import Source, check_order, check_output, kind_of
from .._tables.records import Record, TextTable, adder, quoted_cell, to_bytes, to_number
from .._tables.table import (
    Table,
    find_columns,
    located,
    parquet_errors,
    row_place,
    scan_parquet,
)
from .._typing import FloatArray
from ..metrics import log_loss
from . import options as opt
from .advice import as_options
from .console import choice, progress, say, show_text
from .problem import Options, Problem, order_columns, read_problem
from .report import check_bins
from .stream import METHODS

#: Rows that are in memory at a time.
CHUNK_ROWS = 1 << 16
_PARQUET_ROWS = 1 << 17


def _lifts() -> list[str]:
    return [n for n, c in CALIBRATORS.items() if "lift" in c._traits]


def _fittable() -> list[str]:
    return names_without("lift", "wrapper", "online")


def _elsewhere(name: str) -> str:
    """How to use a calibrator that --calibrator does not take."""
    name = main_name(name)
    traits = CALIBRATORS[name]._traits if name in CALIBRATORS else ()
    if "lift" in traits:
        return f"; use --lift {name}"
    if name in METHODS:
        return f"; {name} is an online method: use calibkit stream --method {name}"
    return ""


_NAME = opt.option(
    f"One of {', '.join(_fittable())} (see calibkit methods).",
    "NAME",
    callback=choice(_fittable, _elsewhere),
)
_LIFT = opt.option(
    "How to extend a calibrator of two classes to more: one_vs_rest (every class) or top_label "
    "(the most likely class). Default: one_vs_rest, if needed.",
    "HOW",
    callback=choice(_lifts),
)
_BINS = opt.option(
    "Number of bins (binning calibrators only). Default: the calibrator's.",
    "N|auto",
    "--bins",
    callback=check_bins,
)
_SAVED = Annotated[
    str,
    Argument(metavar="CAL.JSON", show_default=False, help="Calibrator from calibkit fit."),
]
_PROB = opt.option(
    "Column of scores, on the scale used in fit (log-odds if --logit). For several columns repeat "
    "the option, or pass a,b,c or a pattern such as 'p_*'.",
    "COL",
)
_CLASSES = opt.option(
    "Class of each --prob column, in the order of the columns. Default: by the names of the "
    "columns, otherwise the sorted order of the classes.",
    "A,B,C",
)
_COLUMN = opt.option(
    "Name of the new column; with K columns the new names are NAME_CLASS. Default: COL_calibrated.",
    "NAME",
)


# -- fit ---------------------------------------------------------------------------------------


def fit(
    file: opt.File,
    label: opt.Label,
    prob: opt.Prob,
    output: Annotated[str, opt.output("JSON file to write the calibrator to.")],
    calibrator: Annotated[str, _NAME] = "auto",
    logit: opt.Logit = False,
    lift: Annotated[str | None, _LIFT] = None,
    bins: Annotated[str | None, _BINS] = None,
    group: opt.RowGroup = None,
    weight: opt.Weight = None,
    positive: opt.Positive = None,
    classes: opt.Classes = None,
    table_name: opt.TableName = None,
) -> None:
    """Fit a calibrator to scores and save it as JSON.

    Use held-out rows: rows that the classifier was not trained on.

    \b
    calibkit fit held_out.csv --label won --prob score -o cal.json
    calibkit fit pets.csv --label pet --prob 'p_*' --calibrator temperature \\
      -o cal.json

    With several --prob columns, each column is one class. Name the columns
    after the classes (p_cat, p_dog, p_owl) or use --classes.
    """
    target = check_output(output, file)
    table = Table(Source.of(file, table_name))
    options = Options(label, prob, classes, positive, weight, group)
    problem = event_last(read_problem(table, options, several=False))
    n_bins = int(bins) if bins is not None and bins.isdecimal() else bins
    with table.located():
        fitted = fit_calibrator(problem, calibrator, logit=logit, lift=lift, n_bins=n_bins)
        summary = describe(fitted, problem, logit=logit)
    save(fitted, target)
    show_text(f"{output}: {summary}".splitlines())


def event_last(problem: Problem) -> Problem:
    """The same problem with the event as the larger label, as calibrators expect it.

    Nothing changes if there is a column for each of the two labels.
    """
    labels, event = np.unique(problem.y), problem.pos_label
    if event is None or problem.scores.ndim == 2 or len(labels) != 2 or event == labels[1]:
        return problem
    return replace(problem, y=(problem.y == event).astype(int), pos_label=1)


def fit_calibrator(
    problem: Problem,
    name: str,
    *,
    logit: bool = False,
    lift: str | None = None,
    n_bins: int | str | None = None,
) -> BaseCalibrator:
    """Fit the calibrator of that name; a binary one is extended to K classes where needed."""
    calibrator = make_calibrator(name)._set_scale("logit" if logit else "probability")
    if n_bins is not None:
        if "n_bins" not in calibrator.get_params():
            raise ValueError(
                f"--bins with --calibrator {name}, which has no bins; expected a binning "
                "calibrator. Drop --bins."
            )
        calibrator.set_params(n_bins=n_bins)
    p = problem.scores
    many = p.ndim == 2 and p.shape[1] > 2
    if lift is not None or (many and "multiclass" not in calibrator._traits):
        calibrator = make_calibrator(lift or "one_vs_rest", calibrator=calibrator)
    if problem.classes is not None:
        calibrator.set_params(classes=problem.classes)
    return calibrator.fit(p, problem.y, problem.weight, problem.groups)


def describe(calibrator: BaseCalibrator, problem: Problem, *, logit: bool) -> str:
    """One line: what was fitted, on what, and how the log loss changed on the same rows."""
    y, w, p = problem.y, problem.weight, problem.scores
    classes = calibrator.classes_
    before = p
    if logit:
        params: dict[str, Any] = {"scale": "logit", "classes": classes}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # the fit has warned already
            before = make_calibrator("identity", **params).fit(p, y, w).predict_proba(p)
    after = calibrator.predict_proba(p)
    losses = [log_loss(y, q, sample_weight=w, classes=classes) for q in (before, after)]
    name = calibrator.name
    if "lift" in calibrator._traits:
        name = f"{name} of {calibrator.calibrator.name}"
    return (
        f"{name} fitted on {len(y):,} rows, {len(classes)} classes; log loss {losses[0]:.4f} -> "
        f"{losses[1]:.4f} in-sample (optimistic: evaluate it on other rows)"
        f"{_bins_certificate(calibrator)}"
    )


def _bins_certificate(calibrator: BaseCalibrator) -> str:
    """The certificate of the bins of histogram binning, in a line."""
    if not hasattr(calibrator, "certify_bins"):
        return ""
    try:
        return f"\n{calibrator.certify_bins()}"
    except ValueError as error:
        return f"\nNo certificate for the bins: {as_options(message_of(error))}"


# -- apply -------------------------------------------------------------------------------------


def apply(
    calibrator: _SAVED,
    file: opt.File,
    prob: Annotated[list[str], _PROB],
    output: Annotated[
        str,
        opt.output(
            "Output file, of the same type as FILE (or .csv for .parquet); - is standard output."
        ),
    ],
    column: Annotated[str | None, _COLUMN] = None,
    classes: Annotated[str | None, _CLASSES] = None,
) -> None:
    """Add a column of calibrated probabilities to a table of any size.

    The other columns stay unchanged (in text files byte for byte).

    \b
    calibkit apply cal.json new.csv --prob score -o calibrated.csv
    cat new.csv | calibkit apply cal.json - --prob score -o - | head

    One --prob column gives one new column; K columns give K. Name K columns
    after the classes (p_cat, p_dog, p_owl) or use --classes.
    """
    check_order(calibrator, file, "calibkit apply CAL.JSON FILE")
    source = Source.of(file)
    target = None if output == "-" else check_output(output, file, calibrator)
    fitted = load(calibrator)
    if not isinstance(fitted, BaseCalibrator):
        raise ValueError(
            f"{calibrator}: holds a {type(fitted).__name__}; expected a calibrator that calibkit "
            "fit wrote."
        )
    with progress("calibrating") as share:
        n = apply_file(fitted, source, prob, target, column=column, classes=classes, step=share)
    if target is not None:
        show_text([f"{output}: {n:,} rows calibrated"])


class Mapping:
    """The columns that are read, those that are added, and the new values."""

    def __init__(
        self,
        calibrator: BaseCalibrator,
        columns: list[str],
        source: str,
        asked: list[str],
        column: str | None,
        classes: str | None = None,
    ) -> None:
        self.calibrator = calibrator
        probs = find_columns("--prob", asked, columns, source)
        self.probs, note = order_columns(probs, calibrator.classes_, classes)
        self.added = _new_names(self.probs, calibrator.classes_, column)
        taken = set(columns)
        for name in self.added:
            if name in taken:
                raise ValueError(
                    f"{source} has a column {quoted(name)} already; choose another name with "
                    "--column."
                )
        self(np.empty((0, len(self.probs))))  # raises if the number of columns is wrong
        if note:
            say(f"note: {note}")

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Calibrated probabilities, with as many columns as there are scores."""
        if scores.shape[1] == 1:
            return self.calibrator.predict_proba(scores[:, 0])[:, 1:]
        return self.calibrator.predict_proba(scores)


def _new_names(probs: list[str], classes: np.ndarray, column: str | None) -> list[str]:
    if column is not None and not column.strip():
        raise ValueError("--column: expected a name that is not empty.")
    if column is None:
        return [f"{p}_calibrated" for p in probs]
    return [column] if len(probs) == 1 else [f"{column}_{c}" for c in classes.tolist()]


def apply_file(
    calibrator: BaseCalibrator,
    source: Source,
    asked: list[str],
    target: Path | None,
    *,
    column: str | None = None,
    classes: str | None = None,
    chunk_rows: int | None = None,
    step: Step | None = None,
) -> int:
    """Add calibrated columns to a table, in memory for ``chunk_rows`` rows at a time.

    ``target`` is a path, or None for standard output. The file appears only when it is complete.
    Returns the number of rows.
    """
    kind = kind_of(target) if target is not None else source.kind
    if kind != source.kind and (source.kind, kind) != ("parquet", "csv"):
        raise ValueError(
            f"{target}: {source.kind} can't be turned into {kind}; expected a name that ends in "
            f".{source.kind}{' or .csv' if source.kind == 'parquet' else ''}."
        )
    step = step or (lambda share: None)

    def mapping(columns: list[str]) -> Mapping:
        return Mapping(calibrator, columns, source.name, asked, column, classes)

    with ExitStack() as stack:
        path = None if target is None else stack.enter_context(whole_file(target))
        out: Any = path
        if path is None or kind != "parquet":
            out = stack.enter_context(_writer(path, target))
        if source.kind == "parquet":
            return _apply_parquet(mapping, source, out, chunk_rows or _PARQUET_ROWS, step)
        with source.text() as (text, tell):
            total = source.path.stat().st_size if source.path is not None else 0

            def done() -> None:
                step(tell() / total if total else 0.0)

            return _apply_text(mapping(text.columns), text, out, chunk_rows or CHUNK_ROWS, done)


@contextmanager
def _writer(path: Path | None, target: Path | None) -> Iterator[BinaryIO]:
    """A file (compressed if its name ends in .gz) or standard output, to write bytes to."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with path.open("wb") as raw:
        if target is not None and target.suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped:
                yield zipped  # type: ignore[misc]
        else:
            yield raw


def _apply_text(
    mapping: Mapping, text: TextTable, out: BinaryIO, size: int, done: Callable[[], None]
) -> int:
    """Copy records unchanged, with the new cells before the line ending."""
    n = 0
    header, join = adder(text, mapping.added)
    out.write(to_bytes(header))
    rows = text.rows(mapping.probs, absent=mapping.added)
    while batch := list(islice(rows, size)):
        full = [r for r in batch if r.cells]
        cells = iter(_calibrated(mapping, full, text.name))
        out.write(to_bytes("".join(join(r.raw, next(cells)) if r.cells else r.raw for r in batch)))
        n += len(full)
        done()
    return n


def _calibrated(mapping: Mapping, rows: list[Record], name: str) -> list[list[str]]:
    """New cells of these rows."""
    if not rows:
        return []
    try:
        numbers = [[float(c) for c in r.cells if _is_plain(c)] for r in rows]
        scores = np.array(numbers).reshape(len(rows), len(mapping.probs))
    except (TypeError, ValueError, OverflowError):
        for r in rows:
            for cell, prob in zip(r.cells, mapping.probs, strict=True):
                to_number(cell, f"{name}, line {r.line}: {quoted(prob)}")
        raise
    with located(name, lambda row: f"line {rows[row].line}"):
        q = mapping(scores)
    return [[repr(v) for v in row] for row in q.tolist()]


def _is_plain(cell: Any) -> bool:
    """False for True and for 0_1, which Python reads as 1."""
    return "_" not in cell if type(cell) is str else type(cell) is not bool


def _apply_parquet(
    make: Callable[[list[str]], Mapping], source: Source, out: Any, size: int, step: Step
) -> int:
    """Write Parquet to a path, or CSV to an open file."""
    pl = require("polars", "cli")
    with parquet_errors(source):
        scan = scan_parquet(source)
        schema = dict(scan.collect_schema())
        total = scan.select(pl.len()).collect().item()
    mapping = make(list(schema))
    if not isinstance(out, Path):
        _check_csv(schema, source)

    def frames(*_: Any) -> Iterator[Any]:
        for start in range(0, total, size):
            with parquet_errors(source):
                frame = scan.slice(start, size).collect()
            yield _add_to_frame(mapping, source, frame, start)
            step(min(1.0, (start + size) / total))

    if isinstance(out, Path):
        schema |= dict.fromkeys(mapping.added, pl.Float64())
        register = require("polars.io.plugins", "cli").register_io_source
        with parquet_errors(source, "calibrated"):
            register(frames, schema=schema).sink_parquet(out, row_group_size=size)
    else:
        header = [quoted_cell(name, "csv") for name in (*schema, *mapping.added)]
        out.write(to_bytes(",".join(header) + "\n"))
        for frame in frames():
            with parquet_errors(source, "written as CSV"):
                text = frame.write_csv(include_header=False)
            out.write(text.encode())
    return total


def _check_csv(schema: dict[str, Any], source: Source) -> None:
    """Raise if there are columns that CSV can't store."""
    pl = require("polars", "cli")
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Duration, pl.Object):
            raise ValueError(
                f"{source.name}: {quoted(name)} holds {dtype}, which CSV can't store; expected an "
                "output that ends in .parquet. Use one, or drop that column."
            )


def _add_to_frame(mapping: Mapping, source: Source, frame: Any, start: int) -> Any:
    pl = require("polars", "cli")
    columns = []
    for name in mapping.probs:
        series = frame[name]
        missing = series.is_null().arg_true()
        if not series.dtype.is_numeric() or len(missing):
            row = start + (int(missing[0]) if len(missing) else 0)
            what = "is empty" if len(missing) else f"holds {series.dtype}"
            at = f"{source.name}, {row_place(row)}: {quoted(name)}"
            raise ValueError(f"{at} {what}; expected a number.")
        columns.append(series.cast(pl.Float64).to_numpy())
    with located(source.name, lambda row: row_place(start + row)):
        q = mapping(np.column_stack(columns))
    return frame.with_columns([pl.Series(n, c) for n, c in zip(mapping.added, q.T, strict=True)])
