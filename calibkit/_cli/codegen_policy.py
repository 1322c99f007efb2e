"""What ``calibkit codegen policy`` does: thresholds with a promise, and decisions by cost."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._core.warnings import CalibrationWarning, ScaleWarning
from .._numerics.links import expit
from .._persistence import save
from .._tables.files import check_apart, check_output
from .._typing import FloatArray
from ..decisions import DecisionRule, RiskControlledThreshold, TriagePolicy, cross_val_calibrate
from ..decisions._folds import read_calibrator
from ..displays import RiskCoverageDisplay
from .codegen_signals import Choice, Judged, read_judged
from .console import progress
from .pictures import check_picture, write


def policy_files(
    generations: str,
    results: str | None,
    choice: Choice,
    *,
    max_error: float,
    alpha: float,
    costs: dict[str, float | None],
    calibrator: str,
    level: float,
    seed: int,
    plot: str | None,
    output: str | None = None,
) -> dict[str, Any]:
    """A threshold for each signal, and a policy where there are costs; of one signal a rule."""
    target = None if output is None else check_output(output, generations, results or generations)
    picture = None if plot is None else check_output(plot, generations, results or generations)
    if picture is not None:
        check_picture(picture)
    check_apart({}, {"-o": output, "--plot": plot})
    judged = read_judged(generations, results, choice)
    if target is not None and len(judged.signals) != 1:
        raise ValueError(
            f"-o {output}: a rule is of one signal, and there are {', '.join(judged.signals)}; "
            "choose one with --signal."
        )
    policy = _policy(costs)
    notes = [*judged.notes, *_missing(judged)]
    shared = ~np.any([np.isnan(v) for v in judged.signals.values()], axis=0)
    if picture is not None and not shared.all():
        notes.append(_pictured(judged, shared))
    gates, reports = {}, {}
    with progress("testing thresholds") as share:
        for i, (name, signal) in enumerate(judged.signals.items()):
            share(i / len(judged.signals))
            known = np.flatnonzero(~np.isnan(signal))
            groups = None if judged.groups is None else judged.groups[known]
            data = signal[known], judged.correct[known]
            scale = judged.scales[name]
            # Signals share alpha, so that whichever is chosen afterwards keeps its promise.
            part = alpha / len(judged.signals)
            gate = RiskControlledThreshold(max_error, alpha=part, scale=scale, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CalibrationWarning)  # what it says is printed
                gates[name] = gate.fit(*data, groups=groups)
            if policy is not None:
                p = cross_val_calibrate(
                    calibrator, *data, groups=groups, scale=scale, random_state=seed
                )
                reports[name] = policy.evaluate(p, data[1], groups, level=level, random_state=seed)
    if picture is not None:
        _draw(judged, shared, gates, max_error, picture)
    if target is not None:
        save(_rule(judged, calibrator, gates, policy), target)
        notes.append(f"Rule: {output}, for calibkit codegen decide")
    return {"gates": gates, "reports": reports, "notes": notes, "alpha": alpha}


def _pictured(judged: Judged, shared: np.ndarray) -> str:
    """What is said of outputs that have some signals only."""
    if n := np.count_nonzero(shared):
        return f"Picture: of the {n:,} outputs that have every signal"
    raise ValueError(
        f"--plot: no output has all of {', '.join(judged.signals)}; expected signals of the same "
        "outputs. Draw one at a time: --signal."
    )


def _rule(
    judged: Judged,
    calibrator: str,
    gates: dict[str, RiskControlledThreshold],
    policy: TriagePolicy | None,
) -> DecisionRule:
    """The rule of the only signal; its calibrator learns from all outputs that have it."""
    ((name, signal),) = judged.signals.items()
    scale = judged.scales[name]
    known = ~np.isnan(signal)
    template = read_calibrator(calibrator, scale, "codegen policy")
    with warnings.catch_warnings():
        if scale == "score":  # said to be no probability, so let it lie in [0, 1]
            warnings.simplefilter("ignore", ScaleWarning)
        fitted = template.fit(signal[known], judged.correct[known])
    return DecisionRule(name, fitted, gates[name], policy)


def _missing(judged: Judged) -> list[str]:
    """What is said of outputs without a signal."""
    n = {name: int(np.isnan(signal).sum()) for name, signal in judged.signals.items()}
    return [
        f"{name}: {k:,} of {len(judged.correct):,} outputs have none and are left out; the "
        "threshold says nothing of such outputs"
        for name, k in n.items()
        if k
    ]


def _policy(costs: dict[str, float | None]) -> TriagePolicy | None:
    if all(v is None for v in costs.values()):
        return None
    wrong, right = costs["cost_accept_wrong"], costs["cost_discard_right"]
    if wrong is None or right is None:
        raise ValueError(
            "--cost-accept-wrong and --cost-discard-right go together; expected both (and "
            "--cost-review, if outputs can be reviewed)."
        )
    return TriagePolicy(
        cost_accept_wrong=wrong, cost_discard_right=right, cost_review=costs["cost_review"]
    )


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
        # Matplotlib sets what is between $ as formulas, and leaves out names that begin with _.
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
    write(display, path)


def _as_probabilities(values: FloatArray, threshold: float, scale: str) -> tuple[FloatArray, float]:
    """A signal and a threshold in [0, 1], as the picture wants them; of a score the ranks."""
    if scale == "probability":
        return values, threshold
    if scale == "logit":
        return expit(values), float(expit(np.array([threshold]))[0])
    levels, ranks = np.unique(values, return_inverse=True)
    return ranks / len(levels), float(np.searchsorted(levels, threshold) / len(levels))


def policy_lines(found: dict[str, Any]) -> list[str]:
    """What to print."""
    lines = [*found["notes"], ""]
    gates = found["gates"]
    if len(gates) > 1:
        lines += [
            f"Thresholds of {len(gates)} signals share alpha = {found['alpha']:g}, so the promise "
            "holds for whichever you choose; choose one with --signal to give it all.",
            "",
        ]
    for name, gate in gates.items():
        lines += [f"{name}", *(f"  {line}" for line in str(gate).splitlines())]
        if gate.feasible_ and gate.scale == "logit":
            p = float(expit(np.array([gate.threshold_]))[0])
            lines.append(f"  The threshold is in log-odds; as a probability it is {p:.4g}.")
        lines.append("")
        if name in found["reports"]:
            lines += [*(f"  {line}" for line in str(found["reports"][name]).splitlines()), ""]
    return lines[:-1]


def policy_facts(found: dict[str, Any]) -> dict[str, Any]:
    """The same as plain values, for JSON."""
    return {
        "calibkit": __version__,
        "notes": found["notes"],
        "thresholds": {name: _gate_facts(gate) for name, gate in found["gates"].items()},
        "policies": {name: _report_facts(r) for name, r in found["reports"].items()},
    }


def _gate_facts(gate: RiskControlledThreshold) -> dict[str, Any]:
    values: dict[str, Any] = {
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
    return {k: v if isinstance(v, str) or np.isfinite(v) else None for k, v in values.items()}


def _report_facts(report: Any) -> dict[str, Any]:
    def ends(e: Any) -> dict[str, float | None]:
        named = {"value": e.value, "low": e.low, "high": e.high}
        return {k: float(v) if np.isfinite(v) else None for k, v in named.items()}

    return {
        "accept_at": report.policy.accept_at,
        "discard_below": report.policy.discard_below,
        "shares": {k: ends(v) for k, v in report.shares.items()},
        "error_accepted": ends(report.error_accepted),
        "right_discarded": ends(report.right_discarded),
        "costs": {k: ends(v) for k, v in report.costs.items()},
    }
