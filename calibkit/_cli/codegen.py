"""The commands ``calibkit codegen``: judge signals, find thresholds, decide on outputs."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import numpy as np
from typer import Argument, Context, Option

from .. import __version__
from .._core.base import BaseCalibrator
from .._core.params import advice
from .._core.printed import quoted
from .._core.saved import whole_file
from .._core.warnings import CalibrationWarning, MissingSignalWarning, ScaleWarning
from .._numerics.links import expit
from .._persistence import load, save
from .._report import Picture, inline_svg, plain, write_page
from .._tables.files import check_apart, check_order, check_output
from .._typing import FloatArray, SignalScale
from ..calibrators import validate_calibrator
from ..codegen import (
    PROBABILITIES,
    TOKEN_MEASURES,
    Generations,
    Scored,
    join_results,
    parse_confidence,
    read_generations,
    read_results,
)
from ..decisions import (
    DecisionRule,
    Decisions,
    RiskControlledThreshold,
    Signals,
    TriagePolicy,
    TriageReport,
    cross_val_calibrate,
    evaluate_confidence,
)
from ..displays import ReliabilityDisplay, RiskCoverageDisplay
from ..metrics import ResultTable
from . import options as opt
from .console import print_json, progress, say, show_text
from .page import check_html, command_line, evaluate_page
from .report import check_picture, write_picture

#: Names of the task in options.
_TASK = ("task", "task_id")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".jsonl": None, ".ndjson": None}


# -- files of outputs and verdicts -------------------------------------------------------------


class FileOptions(NamedTuple):
    """The options that describe the files."""

    task: list[str] | None = None
    sample: str | None = None
    correct: str | None = None
    notion: str | None = None
    signals: list[str] | None = None
    scores: list[str] | None = None
    group: str = "task_id"
    by: str | None = None
    stated: list[str] | None = None


class Judged(NamedTuple):
    """Outputs with a verdict, and their signals."""

    signals: dict[str, FloatArray]
    scales: dict[str, SignalScale]
    correct: np.ndarray
    groups: np.ndarray | None
    by: np.ndarray | None
    notes: list[str]

    def each(self) -> Iterator[tuple[str, FloatArray, np.ndarray, np.ndarray | None, SignalScale]]:
        """For each signal: name, values, verdicts and groups (of outputs that have it), scale."""
        for name, signal in self.signals.items():
            known = ~np.isnan(signal)
            groups = None if self.groups is None else self.groups[known]
            yield name, signal[known], self.correct[known], groups, self.scales[name]


def _no_text(record: dict[str, Any]) -> str:
    """No text: these commands use numbers only."""
    return ""


def read_outputs(generations: str, options: FileOptions) -> Generations:
    """Read a file of outputs, with the labels needed and the confidence stated in text."""
    stated = options.stated or []
    named = {v for v in (options.group, options.by, *stated) if v not in (None, "none", *_TASK)}
    labels = sorted(str(v) for v in named)
    outputs = read_generations(
        generations, task=options.task or None, sample=options.sample, labels=labels, text=_no_text
    )
    for name in stated:
        outputs = outputs.with_signal(name, parse_confidence(outputs.labels[name]))
    return outputs


def read_judged(generations: str, results: str | None, options: FileOptions) -> Judged:
    """Read and join the files; the results may be in the file of the generations."""
    with _explained(generations, results, options):
        outputs = read_outputs(generations, options)
    for name in options.scores or []:
        if name in outputs.signals:
            outputs = outputs.with_signal(name, outputs.signals[name], scale="score")
    with _explained(generations, results, options):
        verdicts = read_results(
            results or generations,
            task=options.task or None,
            sample=options.sample,
            correct=options.correct,
            notion=options.notion,
        )
    scored = join_results(outputs, verdicts)
    signals, notes = _signals(scored, options)
    n, tasks = len(scored), len(np.unique(scored.groups))
    notes.insert(0, f"{n:,} outputs of {tasks:,} tasks, correct by {scored.notion}")
    groups = _column(scored, "--group", options.group)
    by = _column(scored, "--by", options.by)
    return Judged(signals, signals.scales, scored.correct, groups, by, notes)


@contextmanager
def _explained(generations: str, results: str | None, options: FileOptions) -> Iterator[None]:
    """Say in an error which option or file it is about."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        if "which holds no results" in said:
            raise ValueError(
                f"{generations} does not say which outputs are correct: add RESULTS as the second "
                "file."
                if results is None
                else f"{results} holds no results: are the files swapped? Expected GENERATIONS "
                "RESULTS."
            ) from error
        if missing := re.search(r"has no (.*); expected it, as labels names it\. It has: ", said):
            named = {options.group: "--group", options.by: "--by"}
            option = named.get(missing[1], "--stated")
            raise ValueError(
                f"{option} {missing[1]}: no such key; it has: {said[missing.end() :]}"
            ) from error
        if results is None or not re.search(r"\btask\b", said):
            raise
        said = re.sub(r" If (this is a table|the task has another column).*$", "", said)
        key = " and ".join(options.task or ["task_id"])
        raise ValueError(
            f"{said} Both files need the same key for the task, here {key}. Rename the key in one "
            "file, or name the key of both files with --task."
        ) from error


def _signals(scored: Scored, options: FileOptions) -> tuple[Signals, list[str]]:
    held = scored.generations.signals
    tokens = len(scored) > scored.generations.n_without_logprobs
    wanted = [*(options.signals or []), *(options.stated or []), *(options.scores or [])]
    notes = []
    if not wanted:
        wanted = list(PROBABILITIES) if tokens else []
        unfit = [name for name, values in held.items() if not _are_probabilities(values)]
        wanted += [name for name in held if name not in unfit]
        if unfit:
            notes.append(f"left out, not in [0, 1]: {', '.join(unfit)} (to use them: --score)")
    known = [*held, *TOKEN_MEASURES]
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"--signal {name}: no such signal; expected a token measure or a column of "
                f"numbers: {', '.join(known)}{advice(name, known)}."
            )
    for name in options.signals or []:
        scored_as_is = name not in held or name in (options.scores or [])
        if not (scored_as_is or _are_probabilities(held[name])):
            raise ValueError(
                f"--signal {name}: holds values outside [0, 1]; expected probabilities. Use "
                f"--score {name}."
            )
    return scored.confidence(wanted or None, scale="logit"), notes


def _are_probabilities(values: FloatArray) -> bool:
    known = values[~np.isnan(values)]
    return bool(((known >= 0) & (known <= 1)).all())


def _column(scored: Scored, option: str, name: str | None) -> np.ndarray | None:
    """Labels of the outputs: their task, or a column of the file."""
    if name is None or name == "none":
        return None
    if name in _TASK:
        return scored.groups
    labels: np.ndarray = scored.generations.labels[name]
    empty = np.flatnonzero(labels == "")
    if len(empty):
        raise ValueError(
            f"{option} {name}: {len(empty)} of {len(labels)} outputs have none (first at "
            f"{scored.generations.place[empty[0]]}); expected one for every output."
        )
    return labels


# -- evaluate -----------------------------------------------------------------------------------


_BY = opt.option(
    "Column, such as model. Each of its values is measured separately. Default: none.", "KEY"
)
_CV = opt.option(
    "Number of folds, or a protocol of Spiess et al. (2024): spiess2024 (folds of the outputs in "
    "file order) or spiess2024_sorted (of the outputs sorted by signal).",
    "N|NAME",
)
_PLOTS = opt.option("Directory to write a reliability diagram of each signal to.", "DIR")


def evaluate(
    ctx: Context,
    generations: opt.Generations,
    results: opt.Results = None,
    group: opt.Group = "task_id",
    by: Annotated[str | None, _BY] = None,
    signal: opt.Signal = None,
    score: opt.Score = None,
    stated: opt.Stated = None,
    task: opt.TaskOfBoth = None,
    sample: opt.Sample = None,
    correct: opt.Correct = None,
    notion: opt.Notion = None,
    calibrator: opt.Calibrator = "auto",
    cv: Annotated[str, _CV] = "5",
    level: opt.Level = 0.9,
    resamples: opt.Resamples = 1000,
    seed: opt.Seed = 0,
    plots: Annotated[str | None, _PLOTS] = "reliability",
    no_plots: Annotated[bool, Option("--no-plots", help="Write no diagrams.")] = False,
    as_json: opt.Json = False,
    html: opt.Html = None,
) -> None:
    """Measure confidence signals before and after calibration.

    \b
    calibkit codegen evaluate generations.jsonl results.json --group task_id
    calibkit codegen evaluate scores.csv --signal verbalized --signal agreement
    calibkit codegen evaluate scores.csv --html signals.html

    The table has two rows for each signal: uncalibrated (the signal as it is)
    and calibrated (by out-of-fold predictions). A useful signal has a high
    skill (Brier skill score) and a high auc (ROC AUC).
    """
    folder = None if plots is None or no_plots else _folder(plots)
    target = check_html(html, generations, results or generations)
    options = FileOptions(task, sample, correct, notion, signal, score, group, by, stated)
    judged = read_judged(generations, results, options)
    settings = {"cv": int(cv) if cv.isdecimal() else cv, "random_state": seed}
    table = evaluate_confidence(
        judged.signals,
        judged.correct,
        judged.groups,
        calibrator,
        by=judged.by,
        scale=judged.scales,
        level=level,
        n_resamples=resamples,
        **settings,
    )
    displays = _displays(judged, calibrator, settings, level) if folder or target else {}
    drawn = _draw_each(displays, _picture_names(judged.signals), folder) if folder else []
    notes = [*judged.notes, *(f"Picture: {path}" for path in drawn)]
    said = {"caption": table.caption, "notes": [*notes, *table.notes]}
    facts = {"calibkit": __version__, "verdict": _verdict(table), **said, "rows": table.flat()}
    facts = plain(facts)
    if target is not None:
        page = evaluate_page(facts, generations, _pictures(displays), command_line(ctx))
        write_page(page, target)
        notes.append(f"Page: {html}")
    if as_json:
        print_json(facts)
    else:
        head, *notes = notes
        show_text([head, "", *str(table).splitlines(), *notes])


def _verdict(table: ResultTable) -> list[str]:
    """The best signal after calibration, and what calibration changes."""
    rows = [r for r in table if r["stage"] == "calibrated" and np.isfinite(float(r["skill"]))]
    if not rows:
        return ["No signal has a Brier skill score: all outputs are correct, or none is."]
    best = max(rows, key=lambda r: float(r["skill"]))
    named = list(best)[: list(best).index("stage")]
    before = next(r for r in table if all(r[k] == best[k] for k in named))
    name = ", ".join(quoted(str(best[k])) for k in named)
    value, low, high = (
        f"{v:.3f}" for v in (best["skill"].value, best["skill"].low, best["skill"].high)
    )
    ece, old = float(best["ece"]), float(before["ece"])
    was = f", and {old:.3f} before calibration" if np.isfinite(old) else ""
    return [
        f"{name} has the highest Brier skill score after calibration: {value} [{low}, {high}].",
        f"Its expected calibration error is {ece:.3f} after calibration{was}.",
    ]


def _folder(name: str) -> Path:
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{name}: is a file; expected a directory for the diagrams.")
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise ValueError(f"{name}: can't be written to; expected a directory for the diagrams.")
    return path


def _picture_names(signals: Iterable[str]) -> dict[str, str]:
    """A file name for each signal, unique even if the case of letters is ignored."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for signal in signals:
        # 50 characters are at most 200 bytes, and a name takes 255.
        stem = start = re.sub(r"[^\w.-]", "_", signal)[:50].lstrip(".") or "signal"
        n = 1
        while stem.casefold() in used:
            n += 1
            stem = f"{start}_{n}"
        used.add(stem.casefold())
        names[signal] = f"{stem}.png"
    return names


def _displays(
    judged: Judged, calibrator: str, settings: dict[str, Any], level: float
) -> dict[str, ReliabilityDisplay]:
    """The reliability diagram of each signal."""
    out = {}
    for name, signal, y, groups, scale in judged.each():
        if len(np.unique(y)) < 2:
            continue
        p = cross_val_calibrate(calibrator, signal, y, groups=groups, scale=scale, **settings)
        models = {**_uncalibrated(signal, scale), "calibrated": p}
        seed = settings["random_state"]
        out[name] = ReliabilityDisplay.from_predictions(
            y, models, level=level, groups=groups, random_state=seed
        )
    return out


def _draw_each(
    displays: dict[str, ReliabilityDisplay], names: dict[str, str], folder: Path
) -> list[Path]:
    paths = [folder / names[name] for name in displays]
    for display, path in zip(displays.values(), paths, strict=True):
        write_picture(display, path)
    return paths


def _pictures(displays: dict[str, ReliabilityDisplay]) -> list[Picture]:
    said = "Observed frequency of correct outputs against the mean confidence, with intervals."
    return [
        inline_svg(display.plot, f"signal{i}", f"Reliability of {name}", said)
        for i, (name, display) in enumerate(displays.items())
    ]


def _uncalibrated(signal: FloatArray, scale: str) -> dict[str, FloatArray]:
    if scale == "score":
        return {}
    return {"uncalibrated": expit(signal) if scale == "logit" else signal}


# -- policy -------------------------------------------------------------------------------------


_MAX_ERROR = opt.option("Maximum error rate among accepted outputs.", "X", callback=opt.check_share)
_ALPHA = opt.option("Probability that the guarantee fails.", "X", callback=opt.check_share)
_ACCEPT_WRONG = opt.option(
    "Cost of accepting a wrong output. Requires --cost-discard-right. Default: no costs.", "X"
)
_REVIEW = opt.option("Cost of reviewing an output. Default: outputs can't be reviewed.", "X")
_DISCARD_RIGHT = opt.option(
    "Cost of discarding a correct output. Requires --cost-accept-wrong. Default: no costs.", "X"
)
_COST_LEVEL = opt.option(f"{opt.LEVEL} Used only with costs.", "X")
_PLOT = opt.option(
    "File for a plot of the error rate against the share accepted (.png, .pdf or .svg). Default: "
    "none.",
    "PNG",
)
_RULE_OUT = opt.output(
    "JSON file to save the rule to: signal, calibrator (fitted on all outputs), threshold and "
    "costs. Default: not saved.",
    "JSON",
)


def policy(
    generations: opt.Generations,
    results: opt.Results = None,
    max_error: Annotated[float, _MAX_ERROR] = 0.05,
    alpha: Annotated[float, _ALPHA] = 0.1,
    cost_accept_wrong: Annotated[float | None, _ACCEPT_WRONG] = None,
    cost_review: Annotated[float | None, _REVIEW] = None,
    cost_discard_right: Annotated[float | None, _DISCARD_RIGHT] = None,
    group: opt.Group = "task_id",
    signal: opt.Signal = None,
    score: opt.Score = None,
    stated: opt.Stated = None,
    task: opt.TaskOfBoth = None,
    sample: opt.Sample = None,
    correct: opt.Correct = None,
    notion: opt.Notion = None,
    calibrator: opt.Calibrator = "auto",
    level: Annotated[float, _COST_LEVEL] = 0.9,
    seed: opt.Seed = 0,
    plot: Annotated[str | None, _PLOT] = None,
    output: Annotated[str | None, _RULE_OUT] = None,
    as_json: opt.Json = False,
) -> None:
    """Find the threshold for accepting outputs, and compare costs.

    \b
    calibkit codegen policy generations.jsonl results.json --max-error 0.05
    calibkit codegen policy scores.csv --signal agreement --max-error 0.1 \\
      --cost-accept-wrong 10 --cost-review 2 --cost-discard-right 3

    The threshold is the lowest one with this guarantee: at most --max-error of
    the accepted new outputs are wrong. It holds with probability 1 - alpha (see
    --alpha).

    With costs, each output is accepted, reviewed or discarded by its calibrated
    probability, and the cost is compared with that of accepting, reviewing or
    discarding all. The threshold then only marks the outputs that the guarantee
    covers. All costs have the same unit, for instance minutes.

    To decide on new outputs, choose one --signal, save the rule with -o, and
    run calibkit codegen decide.
    """
    target = None if output is None else check_output(output, generations, results or generations)
    picture = None if plot is None else check_output(plot, generations, results or generations)
    if picture is not None:
        check_picture(picture)
    check_apart({}, {"-o": output, "--plot": plot})
    options = FileOptions(task, sample, correct, notion, signal, score, group, None, stated)
    judged = read_judged(generations, results, options)
    if target is not None and len(judged.signals) != 1:
        raise ValueError(
            f"-o {output}: there are several signals, {', '.join(judged.signals)}; expected one "
            "for a rule. Choose it with --signal."
        )
    costs = _policy(cost_accept_wrong, cost_review, cost_discard_right)
    notes = [*judged.notes, *_missing(judged)]
    shared = ~np.any([np.isnan(v) for v in judged.signals.values()], axis=0)
    if picture is not None and not shared.all():
        notes.append(_pictured(judged, shared))
    settings = max_error, alpha, level, seed
    gates, reports = _judged_by_each(judged, costs, calibrator, *settings)
    if picture is not None:
        _draw(judged, shared, gates, max_error, picture)
    if target is not None:
        save(_rule(judged, calibrator, gates, costs), target)
        notes.append(f"Rule: {output}, for calibkit codegen decide")
    if as_json:
        print_json(
            {
                "calibkit": __version__,
                "notes": notes,
                "thresholds": {name: _gate_facts(gate) for name, gate in gates.items()},
                "policies": {name: _report_facts(r) for name, r in reports.items()},
            }
        )
    else:
        show_text([*notes, "", *_policy_lines(gates, reports, alpha)])


def _judged_by_each(
    judged: Judged,
    costs: TriagePolicy | None,
    calibrator: str,
    max_error: float,
    alpha: float,
    level: float,
    seed: int,
) -> tuple[dict[str, RiskControlledThreshold], dict[str, TriageReport]]:
    """A threshold for each signal and, with costs, a report of the costs."""
    gates: dict[str, RiskControlledThreshold] = {}
    reports: dict[str, TriageReport] = {}
    # Signals share alpha, so that the guarantee is valid for any signal that is chosen later.
    part = alpha / len(judged.signals)
    with progress("testing thresholds") as share:
        for name, x, y, groups, scale in judged.each():
            share(len(gates) / len(judged.signals))
            gate = RiskControlledThreshold(max_error, alpha=part, scale=scale)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CalibrationWarning)  # the text is printed
                gates[name] = gate.fit(x, y, groups=groups)
            if costs is not None:
                settings: dict[str, Any] = {"random_state": seed}
                p = cross_val_calibrate(calibrator, x, y, groups=groups, scale=scale, **settings)
                reports[name] = costs.evaluate(p, y, groups, level=level, **settings)
    return gates, reports


def _pictured(judged: Judged, shared: np.ndarray) -> str:
    """A note on the outputs in the picture; raises if there are none."""
    if n := np.count_nonzero(shared):
        return f"Picture: shows the {n:,} outputs that have every signal"
    raise ValueError(
        f"--plot: no output has all of {', '.join(judged.signals)}; expected signals of the same "
        "outputs. Draw one signal at a time with --signal."
    )


def _rule(
    judged: Judged,
    calibrator: str,
    gates: dict[str, RiskControlledThreshold],
    policy: TriagePolicy | None,
) -> DecisionRule:
    """The rule of the only signal, with a calibrator fitted on all outputs that have it."""
    ((name, signal),) = judged.signals.items()
    scale = judged.scales[name]
    known = ~np.isnan(signal)
    template = validate_calibrator(calibrator, scale)
    with warnings.catch_warnings():
        if scale == "score":  # the user has said that it is no probability
            warnings.simplefilter("ignore", ScaleWarning)
        groups = None if judged.groups is None else judged.groups[known]
        fitted = template.fit(signal[known], judged.correct[known], groups=groups)
    return DecisionRule(name, fitted, gates[name], policy)


def _missing(judged: Judged) -> list[str]:
    """Notes on outputs without a signal."""
    n = {name: int(np.isnan(signal).sum()) for name, signal in judged.signals.items()}
    return [
        f"{name}: {k:,} of {len(judged.correct):,} outputs have none and are left out; the "
        "guarantee does not cover such outputs"
        for name, k in n.items()
        if k
    ]


def _policy(wrong: float | None, review: float | None, right: float | None) -> TriagePolicy | None:
    if wrong is None and review is None and right is None:
        return None
    if wrong is None or right is None:
        raise ValueError(
            "--cost-accept-wrong and --cost-discard-right go together; expected both. Add "
            "--cost-review too if outputs can be reviewed."
        )
    return TriagePolicy(cost_accept_wrong=wrong, cost_discard_right=right, cost_review=review)


def _draw(
    judged: Judged,
    known: np.ndarray,
    gates: dict[str, RiskControlledThreshold],
    max_error: float,
    path: Path,
) -> None:
    shown, marks = {}, {}
    for name, values in judged.signals.items():
        threshold = gates[name].threshold_
        # Matplotlib reads text between $ as formulas, and leaves out names that begin with _.
        label = re.sub("^_", " _", name.replace("$", r"\$"))
        shown[label], mark = _as_probabilities(values[known], threshold, judged.scales[name])
        if gates[name].feasible_:
            marks[label] = mark
    display = RiskCoverageDisplay.from_predictions(
        judged.correct[known],
        shown,
        groups=None if judged.groups is None else judged.groups[known],
        thresholds=marks or None,
        max_error=max_error,
        random_state=0,
    )
    write_picture(display, path)


def _as_probabilities(values: FloatArray, threshold: float, scale: str) -> tuple[FloatArray, float]:
    """A signal and a threshold in [0, 1] for the picture; for a score, its ranks."""
    if scale == "probability":
        return values, threshold
    if scale == "logit":
        return expit(values), float(expit(np.array([threshold]))[0])
    levels, ranks = np.unique(values, return_inverse=True)
    return ranks / len(levels), float(np.searchsorted(levels, threshold) / len(levels))


def _policy_lines(
    gates: dict[str, RiskControlledThreshold], reports: dict[str, TriageReport], alpha: float
) -> list[str]:
    lines = []
    if len(gates) > 1:
        lines += [
            f"{len(gates)} signals are tested, so each gets alpha {alpha:g} / {len(gates)} = "
            f"{alpha / len(gates):.3g}, and the guarantee is valid for any one you choose. With "
            "one --signal, it gets the whole alpha.",
            "",
        ]
    for name, gate in gates.items():
        lines += [f"{name}", *(f"  {line}" for line in str(gate).splitlines())]
        if gate.feasible_ and gate.scale == "logit":
            p = float(expit(np.array([gate.threshold_]))[0])
            lines.append(
                f"  This threshold is in log-odds; as an uncalibrated probability it is {p:.4g}."
            )
        lines.append("")
        if name in reports:
            lines += [*(f"  {line}" for line in str(reports[name]).splitlines()), ""]
    if reports:
        lines += ["The costs decide; the threshold only marks the outputs with the guarantee.", ""]
    return lines[:-1]


def _gate_facts(gate: RiskControlledThreshold) -> dict[str, Any]:
    return {
        "max_error": gate.max_error,
        "alpha": gate.alpha,
        "scale": gate.scale,
        "feasible": gate.feasible_,
        "threshold": gate.threshold_,
        "n": gate.n_outputs_,
        "n_accepted": gate.n_accepted_,
        "error": gate.error_,
        "bound": gate.bound_,
    }


def _report_facts(report: TriageReport) -> dict[str, Any]:
    def ends(e: Any) -> dict[str, float]:
        return {"value": e.value, "low": e.low, "high": e.high}

    return {
        "accept_at": report.policy.accept_at,
        "discard_below": report.policy.discard_below,
        "shares": {k: ends(v) for k, v in report.shares.items()},
        "error_accepted": ends(report.error_accepted),
        "right_discarded": ends(report.right_discarded),
        "costs": {k: ends(v) for k, v in report.costs.items()},
    }


# -- decide -------------------------------------------------------------------------------------


_RULE = Argument(
    metavar="RULE.JSON", show_default=False, help="Rule from calibkit codegen policy -o."
)
_DECISIONS = opt.output("Output file: .csv, .tsv or .jsonl; - is CSV on standard output.")


def decide(
    generations: opt.Generations,
    rule: Annotated[str, _RULE],
    output: Annotated[str, _DECISIONS],
    stated: opt.Stated = None,
    task: opt.Task = None,
    sample: opt.Sample = None,
) -> None:
    """Accept, review or discard new outputs, using a saved rule.

    \b
    calibkit codegen policy generations.jsonl results.json \\
      --signal average_token_probability -o rule.json
    calibkit codegen decide new.jsonl rule.json -o decisions.csv

    \b
    Columns of the output file:
      task, sample  which output it is
      confidence    the signal of the rule, in its own unit: log-odds for token
                    probabilities; for a column, the number in the file
      probability   calibrated probability that the output is correct (0 to 1)
      decision      accept, review or discard
      promised      only if the rule has costs: true if the signal reaches the
                    threshold, so that the error-rate guarantee covers it

    If the rule has costs, they decide; otherwise the threshold decides between
    accept and review. Outputs without a signal are never accepted.
    """
    check_order(rule, generations, "calibkit codegen decide GENERATIONS RULE.JSON")
    target = None if output == "-" else check_output(output, generations, rule)
    kind = ".csv" if target is None else Path(output).suffix.lower()
    if kind not in _SEPARATORS:
        raise ValueError(
            f"{output}: unknown extension; expected {', '.join(_SEPARATORS)}, or - for CSV on "
            "standard output."
        )
    loaded = load(rule)
    if not isinstance(loaded, DecisionRule):
        what = "calibrator" if isinstance(loaded, BaseCalibrator) else type(loaded).__name__
        raise ValueError(
            f"{rule}: holds a {what}; expected a rule that calibkit codegen policy -o wrote."
        )
    decisions, repeated = _decisions(generations, loaded, FileOptions(task, sample, stated=stated))
    if target is None:
        _write(decisions, sys.stdout, _SEPARATORS[kind])
    else:
        with whole_file(target) as part, _opened(part) as file:
            _write(decisions, file, _SEPARATORS[kind])
    line = f"{'standard output' if target is None else output}: {decisions}"
    line += f"; {repeated:,} repeated rows left out" if repeated else ""
    if target is None:
        say(line)
    else:
        show_text([line])


def _decisions(generations: str, rule: DecisionRule, options: FileOptions) -> tuple[Decisions, int]:
    """Decisions, and the number of repeated rows."""
    with _explained(generations, None, options):
        outputs = read_outputs(generations, options)
    if rule.signal not in (*outputs.signals, *TOKEN_MEASURES):
        raise ValueError(
            f"{generations}: has no column of numbers {rule.signal}; expected the signal of the "
            f"rule. If {rule.signal} is a text such as '90%', use --stated {rule.signal}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingSignalWarning)  # the printed line says it
        return rule.decide(outputs), outputs.n_repeated


def _opened(path: Path) -> TextIO:
    # A task's name may hold half a surrogate pair, which JSON can express and UTF-8 can't.
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def _write(decisions: Decisions, file: TextIO, separator: str | None) -> None:
    # NaN becomes null in JSON, and an empty cell in CSV.
    columns = {name: plain(values.tolist()) for name, values in decisions.columns.items()}
    rows = zip(*columns.values(), strict=True)
    if separator is None:
        for row in rows:
            file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
        return
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(v) for v in row] for row in rows)


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
