"""The command ``calibkit report``: from labels and probabilities to facts, text and a picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import numpy as np
from rich.text import Text
from typer import BadParameter

from .. import __version__
from .._core.errors import InputError, called
from .._core.labels import is_fractional
from .._core.optional import require
from .._core.params import percent
from .._core.printed import listed, printable, quoted, spelled
from .._core.rows import infer_kind
from .._core.saved import whole_file
from .._core.warnings import FewEventsWarning
from .._tables.files import Source, check_output
from .._tables.table import Table
from .._typing import Bins, FloatArray, Kind, Strategy
from ..displays import (
    Numbers,
    ReliabilityDisplay,
    Settings,
    numbers_of,
    problems_of_arrays,
    proof_text,
)
from ..metrics import (
    METRICS,
    Estimate,
    ScoreTable,
    certify,
    detectable_error,
    estimate_or_value,
)
from . import options as opt
from .advice import as_options
from .by_group import group_facts, group_sentence, plain_groups, rich_groups
from .comparison import cautions, compare_models, plain_comparison, rich_comparison
from .console import aligned, choice, plain, print_json, progress, rich_table, show
from .problem import Options, Problem, from_logits, read_problem

#: Metrics of a report, in its order, with the settings that make them what they are called.
REPORTED: dict[str, dict[str, Any]] = {
    "brier_score": {},
    "brier_skill_score": {},
    "log_loss": {},
    "expected_calibration_error": {},
    "calibration_error": {"norm": "l2", "strategy": "quantile"},
    "roc_auc": {},
}
#: Compare these with the value of a perfectly calibrated model.
ERRORS = ("expected_calibration_error", "calibration_error")
_GAPS = ("mean gap (l1)", "root mean square gap (l2)")
LABELS = {name: METRICS[name].label for name in REPORTED} | {
    "calibration_error": "RMS cal. error",
    "confidence_auc": "AUC of confidence",
}

_COLUMNS = ["metric", "value", "low", "high", "null", "null_low", "null_high", "model"]
_MOST_PANELS = 9

#: Called with the share done, between 0 and 1.
Step = Callable[[float], None]


def check_bins(value: str | None) -> str | None:
    if value is not None and value != "auto" and not (value.isdecimal() and int(value) > 0):
        raise BadParameter(f"{spelled(value)}; expected a positive whole number, or auto.")
    return value


def check_level(value: float) -> float:
    if not 0.01 <= value <= 0.999:
        raise BadParameter(f"{value:g}; expected a number from 0.01 to 0.999, such as 0.95.")
    return value


_KINDS = list(get_args(Kind))
_KIND = opt.option(
    "What to measure: the event (binary), the most likely class (top_label), or every class "
    "(classwise). Default: binary for two classes, top_label for more.",
    "KIND",
    callback=choice(lambda: _KINDS),
)
_BINS = opt.option("Number of bins of the calibration errors.", "N|auto", callback=check_bins)
_LEVEL = opt.option(opt.LEVEL, "X", callback=check_level)
_SEED = opt.option("Seed of the simulations.", "N", min=0)
_BY = opt.option(
    "Column of groups to measure one by one, such as region. Numbers are cut into bands. For "
    "several columns repeat the option, or pass a,b,c. Default: none.",
    "COL",
)
_PLOT = opt.option(
    "Draw the reliability diagram to this file (.png, .pdf or .svg). Default: none.", "PNG"
)


def report(
    file: opt.File,
    label: opt.Label,
    prob: opt.Prob,
    by: Annotated[list[str] | None, _BY] = None,
    group: opt.RowGroup = None,
    weight: opt.Weight = None,
    positive: opt.Positive = None,
    classes: opt.Classes = None,
    logit: opt.Logit = False,
    kind: Annotated[str | None, _KIND] = None,
    bins: Annotated[str, _BINS] = "15",
    level: Annotated[float, _LEVEL] = 0.9,
    resamples: opt.Resamples = 1000,
    seed: Annotated[int, _SEED] = 0,
    as_json: opt.Json = False,
    plot: Annotated[str | None, _PLOT] = None,
) -> None:
    """Measure the calibration of probabilities, and plot it.

    \b
    calibkit report games.csv --label won --prob model
    calibkit report games.csv --label won --prob model --prob rival --plot r.png
    calibkit report pets.csv --label pet --prob 'p_*'
    calibkit report games.csv --label won --prob model --by league

    Each error is printed with a confidence interval, and with the value that a
    perfectly calibrated model would show on the same rows. Its column is named
    "if calibrated", and "null" in a pipe.

    \b
    Each --prob column is one model, and all models are measured on the same
    rows. Their differences are printed first: of two models, or between each
    model and the one with the lowest Brier score. All columns together are one
    model (one column per class) if
      - there are more than two labels: name the columns after the classes
        (p_cat, p_dog, p_owl) or use --classes;
      - --classes is given; or
      - two columns are named after the two labels (such as p_no and p_yes).

    If piped, output columns are separated by two spaces, and text lines begin
    with #.
    """
    picture = None if plot is None else check_output(plot, file)
    if picture is not None:
        check_picture(picture)
    n_bins: Bins = "auto" if bins == "auto" else int(bins)
    table = Table(Source.of(file))
    problem = read_problem(
        table, Options(label, prob, classes, positive, weight, group, by), several=True
    )
    with table.located(), progress("estimating") as share:
        problem = from_logits(problem) if logit else problem
        results = facts(
            problem,
            kind=cast(Kind | None, kind),
            n_bins=n_bins,
            level=level,
            n_resamples=resamples,
            seed=seed,
            step=share,
        )
    if picture is not None:
        draw(problem, picture, results, n_bins=n_bins, seed=seed)
    results = {"calibkit": __version__, "file": table.source.name, "label": label, **results}
    notes = [*results["reading"], *results["power"], *results["proofs"]]
    if plot is not None:
        notes.append(f"Picture: {plot} (the dots are equal-mass bins)")
    show_report(results, notes, [f"# {note}" for note in notes], as_json=as_json)


def show_report(
    results: dict[str, Any], notes: list[str], plain_notes: list[str], *, as_json: bool
) -> None:
    """Print the facts as JSON, or as a table followed by notes."""
    if as_json:
        print_json(results)
    else:
        show(
            lambda: [*rich_report(results), *notes], lambda: [*plain_report(results), *plain_notes]
        )


# -- facts ------------------------------------------------------------------------------------


def facts(
    problem: Problem,
    *,
    kind: Kind | None = None,
    n_bins: Bins = 15,
    level: float = 0.9,
    n_resamples: int = 1000,
    seed: int = 0,
    step: Step | None = None,
    strategy: Strategy = "uniform",
) -> dict[str, Any]:
    """The results for one model, or for several on the same rows, as plain values.

    Undefined values are None. ``strategy`` sets the bins of the ECE. ``step`` is called with the
    share done. The other parameters are those of :func:`calibkit.estimate`.
    """
    kind = infer_kind(kind, max(2, _n_columns(problem.scores)))
    settings = {"level": level, "n_resamples": n_resamples, "random_state": seed}
    total = len(problem.models) * len(REPORTED)
    models: list[dict[str, Any]] = []
    for name, p in problem.models.items():
        metrics: dict[str, Any] = {}
        for metric, params in REPORTED.items():
            if metric in ERRORS:
                params = {"strategy": strategy, **params, "kind": kind, "n_bins": n_bins}
            try:
                metrics |= _found(metric, problem, p, kind, {**settings, **params})
            except ValueError as error:
                place = getattr(error, "place", None)
                raise InputError(f"{quoted(name)}: {error}", place=place) from error
            if step is not None:
                step((len(models) * len(REPORTED) + len(metrics)) / total)
        proof = None if _uncertifiable(problem) else _certificate(problem, p, kind, level, seed)
        found = {"name": name, **_means(problem, p, kind), "metrics": metrics, "certificate": proof}
        found["detectable"] = _detectable(problem, p, kind, found, seed)
        if problem.by is not None:
            found["groups"] = group_facts(problem, p, level=level, seed=seed)
        models.append(found)
    compared = _compared(problem, models, kind, n_bins, level, seed)
    out = {
        "n": len(problem.y),
        "kind": kind,
        "event": _event(problem) if kind == "binary" else None,
        "classes": None if problem.classes is None else problem.classes.tolist(),
        "weighted": problem.weight is not None,
        "groups": None if problem.groups is None else len(np.unique(problem.groups)),
        "level": level,
        "n_resamples": n_resamples,
        "seed": seed,
        "comparison": compared,
        "models": models,
    }
    proofs = cautions(compared)
    proofs += [f"{quoted(m['name'])}: {said}." for m in models for said in _cautions(m)]
    proofs += _bounds(models, kind, level, _uncertifiable(problem))
    said = [reading(m, kind) for m in models]
    said += [group_sentence(m["name"], m["groups"], level) for m in models if "groups" in m]
    return {**plain(out), "reading": said, "power": _power(models), "proofs": proofs}


def _compared(
    problem: Problem,
    models: list[dict[str, Any]],
    kind: Kind,
    n_bins: Bins,
    level: float,
    seed: int,
) -> dict[str, Any] | None:
    """The differences of several models."""
    if len(models) < 2:
        return None
    best = min(models, key=lambda m: m["metrics"]["brier_score"]["value"])["name"]
    return compare_models(problem, best, kind=kind, n_bins=n_bins, level=level, seed=seed)


def _n_columns(p: FloatArray) -> int:
    return 1 if p.ndim == 1 else p.shape[1]


def _event(problem: Problem) -> Any:
    """The label whose probability the scores are."""
    if problem.pos_label is not None:
        return problem.pos_label
    if _fractional(problem):
        return 1
    labels = np.unique(problem.y) if problem.classes is None else problem.classes
    return labels.tolist()[-1]


def _fractional(problem: Problem) -> bool:
    """Whether labels are shares of events."""
    return problem.y.dtype.kind == "f" and is_fractional(problem.y)


def _estimate(
    metric: str, problem: Problem, p: FloatArray, params: dict[str, Any]
) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewEventsWarning)  # a line of the report says it
        value = estimate_or_value(
            metric,
            problem.y,
            p,
            sample_weight=problem.weight,
            groups=problem.groups,
            pos_label=problem.pos_label,
            classes=problem.classes,
            **params,
        )
    return {**asdict(value), "verdict": value.verdict}


def _confidence(problem: Problem, p: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Whether each row's winning class is right, and its probability."""
    if p.ndim == 1:
        return (p > 0.5) == (problem.y == _event(problem)), np.maximum(p, 1.0 - p)
    assert problem.classes is not None
    return problem.classes[p.argmax(axis=1)] == problem.y, np.minimum(p.max(axis=1), 1.0)


def _found(
    metric: str, problem: Problem, p: FloatArray, kind: str, params: dict[str, Any]
) -> dict[str, Any]:
    """A metric by its name; of the top label, the area is that of its confidence."""
    if metric != "roc_auc" or kind == "binary":
        return {metric: _estimate(metric, problem, p, params)}
    correct, confidence = _confidence(problem, p)
    if correct.all() or not correct.any():
        return {}
    winners = Problem(correct, {}, weight=problem.weight, groups=problem.groups)
    return {"confidence_auc": _estimate(metric, winners, confidence, params)}


def _uncertifiable(problem: Problem) -> str:
    """Why these rows can't be certified; empty if they can."""
    if problem.weight is not None:
        return "the rows have weights, and the bounds need rows that count the same"
    if problem.groups is not None:
        return "the rows have groups, and the bounds need independent rows"
    if _fractional(problem):
        return "the labels are shares of events, and the bounds need labels of two values"
    return ""


def _certificate(
    problem: Problem, p: FloatArray, kind: str, level: float, seed: int
) -> dict[str, Any]:
    """Bounds of the calibration error that the rows certify."""
    given = {"pos_label": problem.pos_label, "classes": problem.classes, "kind": kind}
    certificate = certify(problem.y, p, level=level, random_state=seed, **given)
    bounds = {norm: list(getattr(certificate, norm)) for norm in ("l1", "l2", "max")}
    words = {"short": certificate.short(), "sentence": str(certificate)}
    known = {"outputs": len(certificate.value), "says_largest": certificate.says_largest}
    return {"finite": certificate.finite, **known, **bounds, **words}


def _means(problem: Problem, p: FloatArray, kind: str) -> dict[str, Any]:
    """How often the event happens (or the top class is right), and the mean probability."""
    y, p = _binary(problem, p, kind)
    table = ScoreTable.from_arrays(y, p, problem.weight, pos_label=True)
    return dict(zip(_mean_names(kind), (table.base_rate, table.mean_score), strict=True))


def _binary(problem: Problem, p: FloatArray, kind: str) -> tuple[np.ndarray, FloatArray]:
    """Whether the event happens (or the top class is right), and its probability."""
    if kind != "binary":
        return _confidence(problem, p)
    event = _event(problem)
    if p.ndim == 2:
        p = p[:, problem.classes == event][:, 0]
    return (problem.y if _fractional(problem) else problem.y == event), p


def _mean_names(kind: str) -> tuple[str, str]:
    """What these two means are called."""
    return ("base_rate", "mean_prediction") if kind == "binary" else ("accuracy", "mean_confidence")


def _means_of(model: dict[str, Any], kind: str) -> list[str]:
    """The means that a table shows: the demo leaves them out."""
    return [name for name in _mean_names(kind) if name in model]


def _detectable(
    problem: Problem, p: FloatArray, kind: str, model: dict[str, Any], seed: int
) -> dict[str, Any] | None:
    """The smallest error that the test behind the interval finds; there is none of all classes."""
    if kind == "classwise" or len(p) < 2:
        return None
    error = model["metrics"]["calibration_error"]
    y, p = _binary(problem, p, kind)
    found = detectable_error(
        p,
        n_bins=error["params"]["n_bins"],
        alpha=0.5 * (1.0 - error["level"]),
        sample_weight=problem.weight,
        y_true=y,
        groups=problem.groups,
        n_draws=2000,  # enough for the two digits that are printed
        random_state=seed,
    )
    return asdict(found)


def _power(models: list[dict[str, Any]]) -> list[str]:
    """Whether there are enough rows to find an error of the calibration, in a line."""
    known = [(m["name"], m["detectable"]) for m in models if m["detectable"] is not None]
    sizes: dict[str, list[str]] = {}
    for name, d in known:
        if np.isfinite(d["error"]):
            sizes.setdefault(f"{d['error']:#.2g}", []).append(name)
    if not sizes:
        few = "These rows are too few to find that all scores are too low, or too high."
        return [few] if known else []
    n, power = (known[0][1][k] for k in ("n", "power"))
    each = [size + f" ({listed(names)})" * (len(sizes) > 1) for size, names in sizes.items()]
    return [
        f"With these {n:,} rows, an RMS calibration error of {', '.join(each)} would be found with "
        f"probability {percent(power)}, if all scores are too low or all are too high."
    ]


def reading(model: dict[str, Any], kind: str) -> str:
    """One line on a model's calibration, from its numbers."""
    error = model["metrics"]["calibration_error"]
    band, seen = "", f"RMS calibration error {error['value']:.4f}"
    if error["null_high"] is not None:
        low, high = f"{error['null_low']:.4f}", f"{error['null_high']:.4f}"
        band = f", where a calibrated model would show {low} to {high}"
    rate, mean = _mean_names(kind)
    means = (f"{_spaced(name)} {model[name]:.3f}" for name in (mean, rate))
    return f"{quoted(model['name'])}: {_verdict(error)}; {seen}{band}; {', '.join(means)}."


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _verdict(error: dict[str, Any]) -> str:
    """The verdict of the test behind the interval and the null band."""
    if error["note"]:  # the error has another cause than a lack of calibration
        return as_options(error["note"], "report").rstrip(".?")
    if is_miscalibrated(error):
        return "miscalibrated"
    known = error["verdict"] == "calibrated"
    few = "" if known else f", but an error up to {error['high']:.2g} is possible"
    return f"no miscalibration found{few}"


def is_miscalibrated(error: dict[str, Any]) -> bool:
    """Whether an error is larger than a calibrated model shows: its interval excludes 0."""
    return bool(error["low"] > 0)


def _cautions(model: dict[str, Any]) -> list[str]:
    """Why intervals may be too narrow: each reason once, with its metrics."""
    metrics: dict[str, list[str]] = {}
    for name, e in model["metrics"].items():
        if e["caution"]:
            metrics.setdefault(e["caution"], []).append(LABELS[name])
    cautions = [f"{', '.join(names)}: {caution}" for caution, names in metrics.items()]
    ece = model["metrics"]["expected_calibration_error"]
    if ece["value"] == ece["high"] > 0:
        cautions.append(
            "ECE: the value is the upper end of its interval, because noise raises the value and "
            "the interval allows for that"
        )
    return cautions


def _bounds(models: list[dict[str, Any]], kind: str, level: float, reason: str) -> list[str]:
    """The certified bounds of all models in lines, or the reason why there are none."""
    lines = [f"No bound: {reason}."] if reason else []
    certified = [m for m in models if m["certificate"]]
    lines += [f"{quoted(m['name'])}: {said}" for m in certified if (said := _proof(m, level))]
    if any(m["certificate"]["finite"] for m in certified):
        lines.append(
            "Certified bounds are valid for any number of rows, so they are wider than the "
            "intervals above. The model and its calibrator must not have seen these rows."
        )
    if not all(m["certificate"]["finite"] for m in certified):
        lift = " --lift top_label" if kind == "top_label" else ""
        lines.append(
            "The error of continuous scores has no upper bound. For one, use a binned calibrator: "
            f"calibkit fit --calibrator scaling_binning --bins 10{lift}."
        )
    return lines


def _proof(model: dict[str, Any], level: float) -> str:
    """The certified bound of a model's error, in a line; empty without a bound."""
    certificate = model["certificate"]
    if certificate["finite"]:
        more = ", none of them off by more than {:.3f}".format(certificate["max"][1])
        return (
            f"RMS error {certificate['short']} with {percent(level)} confidence: the model gives "
            f"{certificate['outputs']:,} different probabilities"
            f"{more if certificate['says_largest'] else ''}."
        )
    least = f"{certificate['l2'][0]:.3f}"
    if float(least) == 0:
        return ""
    return (
        f"RMS error is at least {least} with {percent(level)} confidence. This bound is for the "
        "scores themselves; the interval above is for bins."
    )


# -- text -------------------------------------------------------------------------------------


def title(facts: dict[str, Any]) -> str:
    """The data in one line."""
    parts = [f"n = {facts['n']:,}"]
    if facts["event"] is not None:
        parts.append(f"event: {quoted(facts.get('label', 'label'))} = {facts['event']}")
    elif facts["classes"] is not None:
        parts.append(f"{len(facts['classes'])} classes")
    if facts["groups"] is not None:
        parts.append(f"{facts['groups']:,} groups")
    if facts["weighted"]:
        parts.append("weighted")
    return ", ".join(parts)


def settings(facts: dict[str, Any]) -> str:
    """How the numbers were made, to cite beside them."""
    metrics = facts["models"][0]["metrics"]
    kind = "" if facts["kind"] == "binary" else f"{facts['kind'].replace('_', '-')}, "
    errors = "; ".join(
        f"{name} ({short}): {kind}{gap}, {_bins(metrics[name]['params'])}"
        for name, short, gap in zip(ERRORS, ("ECE", "RMS"), _GAPS, strict=True)
        if name in metrics
    )
    groups = "" if facts["groups"] is None else ", with groups"
    return (
        f"{percent(facts['level'])} intervals, as in docs/intervals.md; null: the value if "
        f"calibrated, from {facts['n_resamples']:,} simulations that draw labels from the "
        f"probabilities{groups}, seed {facts['seed']}; {errors}; calibkit {facts['calibkit']}"
    )


def _bins(params: dict[str, Any]) -> str:
    """The bins used (and those asked for, if ties left fewer), and the estimator."""
    width = {"uniform": "equal-width", "quantile": "equal-mass"}[params["strategy"]]
    used, asked = params["n_bins"], params.get("n_bins_asked")
    of = f" of {asked}" if isinstance(asked, int) and asked != used else ""
    estimator = params["estimator"].replace("plug-in", "not debiased")
    return f"{used}{of} {width} bins, {estimator}"


def plain_report(facts: dict[str, Any]) -> list[str]:
    """Lines of columns two spaces apart; lines of words begin with #."""
    rows = [_COLUMNS]
    for model in facts["models"]:
        for name in _means_of(model, facts["kind"]):
            rows.append([name, _exact(model[name]), *["-"] * 5, model["name"]])
        for name, m in model["metrics"].items():
            keys = ["value", "low", "high"]
            shown = [_exact(m[k]) for k in keys]
            null = [_exact(m[k]) if name in ERRORS else "-" for k in _COLUMNS[4:7]]
            rows.append([name, *shown, *null, model["name"]])
    head = f"# {facts['file']}: {title(facts)}" if "file" in facts else f"# {title(facts)}"
    first = [] if facts["comparison"] is None else plain_comparison(facts["comparison"])
    groups = plain_groups(facts["models"]) if "groups" in facts["models"][0] else []
    return [head, *first, *aligned(rows), *groups, f"# {settings(facts)}"]


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def rich_report(facts: dict[str, Any]) -> list[Any]:
    """The same for a terminal: errors larger than those of a calibrated model are red."""
    table = rich_table()
    several = len(facts["models"]) > 1
    table.add_column("")
    if several:
        table.add_column("model", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column(f"{percent(facts['level'])} interval", justify="right", style="dim")
    table.add_column("if calibrated", justify="right", style="dim")
    rows: list[tuple[str, list[tuple[str, list[Any]]]]] = []
    for key in _means_of(facts["models"][0], facts["kind"]):
        means = [(m["name"], [f"{m[key]:.4f}", "", ""]) for m in facts["models"]]
        rows.append((_spaced(key), means))
    for name in facts["models"][0]["metrics"]:
        values = [(m["name"], m["metrics"].get(name)) for m in facts["models"]]
        rows.append((LABELS[name], [(n, _cells(name, e)) for n, e in values if e is not None]))
    for word, lines in rows:
        for i, (model, cells) in enumerate(lines):
            last = several and i == len(lines) - 1
            names = ["" if i else word, model] if several else [word]
            shown = (Text(printable(n)) for n in names)
            table.add_row(*shown, *cells, end_section=last)
    head = Text(printable(facts.get("file", "")), style="bold")
    head.append(("  " if head else "") + printable(title(facts)), style="not bold")
    level = percent(facts["level"])
    first = [] if facts["comparison"] is None else rich_comparison(facts["comparison"], level)
    groups = rich_groups(facts["models"], level) if "groups" in facts["models"][0] else []
    return [head, *first, table, *groups, "", Text(settings(facts), style="dim")]


def _cells(name: str, e: dict[str, Any]) -> list[Any]:
    interval = "none" if e["low"] is None else f"{e['low']:.4f}..{e['high']:.4f}"
    if name not in ERRORS:
        return [f"{e['value']:.4f}", interval, ""]
    colour = "red" if is_miscalibrated(e) else "green"
    value = Text(f"{e['value']:.4f}", style=colour)
    known = e["null_high"] is not None
    band = f"{e['null']:.4f} ({e['null_low']:.4f}..{e['null_high']:.4f})" if known else ""
    return [value, interval, band]


# -- picture ----------------------------------------------------------------------------------


def check_picture(path: Path) -> None:
    """Raise if a picture of that name can't be drawn."""
    backend = require("matplotlib.backends.backend_agg", "plot")
    known = backend.FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise ValueError(
            f"{path}: unknown picture format; expected a name that ends in .png, .pdf or .svg."
        )


@called("report")
def draw(problem: Problem, path: Path, results: dict[str, Any], *, n_bins: Bins, seed: int) -> None:
    """Write the reliability diagram of all models; its numbers are those of the report."""
    kind = results["kind"]
    problems = problems_of_arrays(
        problem.y,
        problem.models,
        problem.weight,
        weights="sampling",
        kind=kind,
        pos_label=problem.pos_label,
        classes=problem.classes,
        groups=problem.groups,
        max_classes=_MOST_PANELS,
    )
    draws = results["n_resamples"] if kind == "classwise" else 0
    settings = Settings(
        "quantile", n_bins, "clopper-pearson", results["level"], draws, seed, "auto"
    )
    numbers = numbers_of(problems, settings)
    if kind != "classwise":  # the report has the mean over the classes, the picture a panel of each
        numbers = _as_reported(numbers, results)
    write_picture(ReliabilityDisplay(numbers).plot(), path)


def _as_reported(numbers: Numbers, results: dict[str, Any]) -> Numbers:
    models = {m["name"]: m for m in results["models"]}
    names = {"ece": "expected_calibration_error", "skill": "brier_skill_score"}
    estimates = {
        name: {key: _as_estimate(m["metrics"][metric]) for key, metric in names.items()}
        for name, m in models.items()
    }
    certified = {name: m["certificate"] for name, m in models.items() if m["certificate"]}
    proofs = {name: proof_text(v["l2"][1]) for name, v in certified.items()}
    notes = {name: as_options(e["ece"].note, "report") for name, e in estimates.items()}
    return replace(numbers, estimates=estimates, proofs=proofs, notes=notes)


def _as_estimate(values: dict[str, Any]) -> Estimate:
    return Estimate(**{f.name: values[f.name] for f in fields(Estimate) if f.name in values})


def write_picture(display: Any, path: Path) -> None:
    """Write a display to a file, which appears whole or not at all."""
    with whole_file(path) as temporary:
        display.figure_.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)
