"""Thresholds, policies, quantiles and rules as JSON: what :func:`calibkit.save` writes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._core.base import StateKind
from .._core.inputs import LARGEST_LOGIT
from .._core.plain_json import check_keys, number, short, vector
from .._core.random import check_seed
from .._io import (
    FORMAT,
    FORMS,
    VERSION,
    Form,
    check_header,
    decode,
    encode,
    encode_param,
    from_dict,
    to_dict,
)
from .._registry import CALIBRATORS
from ._policy import TriagePolicy
from ._quantiles import QuantileCalibrator
from ._rule import DecisionRule
from ._threshold import Reachable, RiskControlledThreshold

#: How far rounding may take an error or its bound above the largest that is allowed.
_TOLERANCE = 1e-9
#: The entries of what is fitted.
_FITTED = ("params", "state")


def _form(
    name: str,
    keys: tuple[str, ...],
    write: Callable[[Any], dict[str, Any]],
    read: Callable[[dict[str, Any]], Any],
) -> Form:
    def written(own: Any) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "class": name, **write(own)}

    def checked(data: Any) -> Any:
        check_keys(data, {"format", "version", "class", *keys}, f"a {name}")
        check_header(data)
        return read(data)

    return Form("class", name, written, checked)


def _params(values: dict[str, Any]) -> dict[str, Any]:
    return {name: encode_param(name, value) for name, value in values.items()}


def _made(cls: type, params: Any, names: Iterable[str], check: Callable[[Any], Any]) -> Any:
    check_keys(params, set(names), f"params of {cls.__name__}")
    try:
        # JSON has no tuples: a list stands for one.
        made = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in params.items()})
        check(made)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"from_dict: params of {cls.__name__}: {error}") from error
    return made


def _finite(value: float) -> float | None:
    """A number for JSON, which has neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def _number(value: Any, what: str) -> float:
    return np.nan if value is None else number(value, what)


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value <= 2**53:
        raise ValueError(f"from_dict: {what} is {short(value)}; expected a count.")
    return value


def _check_sound(sound: Any, what: str) -> None:
    if not sound:
        raise ValueError(f"from_dict: the state of {what} is inconsistent.")


# -- the threshold ------------------------------------------------------------------------------

_GATE_COUNTS = ("n_outputs_", "n_tested_", "n_accepted_")
_GATE_NUMBERS = ("threshold_", "error_", "bound_")


def _gate_to_dict(gate: RiskControlledThreshold) -> dict[str, Any]:
    check_is_fitted(gate)
    state: dict[str, Any] = {name: int(getattr(gate, name)) for name in _GATE_COUNTS}
    state |= {name: _finite(getattr(gate, name)) for name in _GATE_NUMBERS}
    state["n_groups_"] = gate.n_groups_
    state["best_"] = None if gate.best_ is None else gate.best_._asdict()
    return {"params": _params(gate.get_params()), "state": state}


def _gate_from_dict(data: dict[str, Any]) -> RiskControlledThreshold:
    def check(made: RiskControlledThreshold) -> None:
        made._check_params("RiskControlledThreshold")
        check_seed(made.random_state)

    names = RiskControlledThreshold._get_param_names()
    gate: RiskControlledThreshold = _made(RiskControlledThreshold, data["params"], names, check)
    state, what = data["state"], "RiskControlledThreshold"
    check_keys(state, {"n_groups_", "best_", *_GATE_COUNTS, *_GATE_NUMBERS}, f"the state of {what}")
    for name in _GATE_COUNTS:
        setattr(gate, name, _count(state[name], f"{what}.{name}"))
    for name in _GATE_NUMBERS:
        setattr(gate, name, _number(state[name], f"{what}.{name}"))
    groups, best = state["n_groups_"], state["best_"]
    gate.n_groups_ = None if groups is None else _count(groups, f"{what}.n_groups_")
    gate.best_ = None if best is None else _best(best, f"{what}.best_")
    gate.feasible_ = best is None
    n, most = gate.n_outputs_, gate.max_error + _TOLERANCE
    _check_sound(gate.n_tested_ <= n and (groups is None or 1 <= groups <= n), what)
    if gate.best_ is None:
        place, errors = gate.threshold_, (gate.error_, gate.bound_)
        _check_sound(1 <= gate.n_accepted_ <= n and all(0 <= e <= most for e in errors), what)
    else:
        place, errors = gate.best_.threshold, (gate.best_.error, gate.best_.bound)
        nothing = all(state[name] is None for name in _GATE_NUMBERS) and gate.n_accepted_ == 0
        possible = 1 <= gate.best_.n_accepted <= gate.n_tested_ and all(0 <= e <= 1 for e in errors)
        _check_sound(nothing and possible, what)
        gate.threshold_ = np.inf
    _check_sound(0 <= place <= 1 if gate.scale == "probability" else np.isfinite(place), what)
    return gate


def _best(data: Any, what: str) -> Reachable:
    check_keys(data, set(Reachable._fields), what)
    needed = data["n_needed"]
    known = {name: number(data[name], what) for name in ("threshold", "error", "bound")}
    needed = None if needed is None else _count(needed, what)
    return Reachable(**known, n_accepted=_count(data["n_accepted"], what), n_needed=needed)


# -- the policy ---------------------------------------------------------------------------------


def _policy_to_dict(policy: TriagePolicy) -> dict[str, Any]:
    params = _params({f.name: getattr(policy, f.name) for f in fields(policy)})
    if params["cost_review"] == np.inf:
        params["cost_review"] = None  # the same, and JSON has no infinity
    return {"params": params}


def _policy_from_dict(data: dict[str, Any]) -> TriagePolicy:
    names = [f.name for f in fields(TriagePolicy)]
    made: TriagePolicy = _made(TriagePolicy, data["params"], names, lambda made: None)
    if made.cost_review == np.inf:
        raise ValueError("from_dict: cost_review is infinite; expected null for no reviews.")
    return made


# -- quantiles ----------------------------------------------------------------------------------

_QUANTILE_STATE: dict[str, StateKind] = {
    "slope_": "float",
    "intercept_": "float",
    "converged_": "flag",
    "clip_": "vector",
    "log_precision_": "vector",
    "edges_": "vector",
}


def _quantiles_to_dict(cal: QuantileCalibrator) -> dict[str, Any]:
    check_is_fitted(cal, "slope_")
    names = [name for name in (*_QUANTILE_STATE, "lines_") if hasattr(cal, name)]
    state = {name: encode(getattr(cal, name)) for name in names}
    if hasattr(cal, "offset_"):
        state["offset_"] = _finite(cal.offset_)
    return {"params": _params(cal.get_params()), "state": state}


def _quantiles_from_dict(data: dict[str, Any]) -> QuantileCalibrator:
    names = QuantileCalibrator._get_param_names()
    check = QuantileCalibrator._check_params
    cal: QuantileCalibrator = _made(QuantileCalibrator, data["params"], names, check)
    state, what = data["state"], "QuantileCalibrator"
    has = set(state) if isinstance(state, dict) else set()
    # A pinball fit to rates that are all 0 or all 1 is a beta distribution too.
    lines = cal.method == "pinball" and "log_precision_" not in has
    without = {"log_precision_"} if lines else {"edges_"}
    kinds = {name: kind for name, kind in _QUANTILE_STATE.items() if name not in without}
    more = {"lines_"} if lines else set()
    check_keys(state, {*kinds, *more, *(has & {"offset_"})}, f"the state of {what}")
    for name, kind in kinds.items():
        setattr(cal, name, decode(state[name], kind, f"{what}.{name}"))
    if lines:
        rows = state["lines_"] if isinstance(state["lines_"], list) else []
        found = [vector(row, f"{what}.lines_") for row in rows]
        if len(found) != len(cal.quantiles) or any(len(row) != 2 for row in found):
            raise ValueError(f"from_dict: {what}.lines_: expected two numbers for each quantile.")
        cal.lines_ = np.array(found)
    edges = cal.edges_ if lines else np.array([0.25, 0.75])
    curve = np.zeros(2) if lines else cal.log_precision_
    _check_sound(
        all(a.shape == (2,) for a in (cal.clip_, edges, curve))
        and ((cal.clip_ > 0) & (cal.clip_ < 0.5)).all()
        and 0 < edges[0] < edges[1] < 1
        and (cal.precision == "linear" or curve[0] == 0),
        what,
    )
    if "offset_" in has:
        offset = state["offset_"]
        cal.offset_ = np.inf if offset is None else number(offset, f"{what}.offset_")
        _check_sound(abs(cal.offset_) <= 1 or offset is None, what)
    z = [0.0, 0.2, 0.5, 1.0] if cal.scale == "probability" else [-LARGEST_LOGIT, 0.0, LARGEST_LOGIT]
    with np.errstate(all="ignore"):
        forecast = np.column_stack((cal.predict(z), cal.predict_quantiles(z)))
    _check_sound(((forecast >= 0) & (forecast <= 1)).all(), what)
    return cal


# -- the rule -----------------------------------------------------------------------------------

#: Parts of a rule, and of which classes each may be.
_PARTS: dict[str, Collection[str]] = {
    "calibrator": CALIBRATORS.keys(),
    "threshold": ("risk_controlled_threshold",),
    "policy": ("triage_policy",),
}


def _rule_to_dict(rule: DecisionRule) -> dict[str, Any]:
    parts = {name: getattr(rule, name) for name in _PARTS}
    written = {name: None if part is None else to_dict(part) for name, part in parts.items()}
    return {"signal": rule.signal, **written}


def _rule_from_dict(data: dict[str, Any]) -> DecisionRule:
    parts: dict[str, Any] = {}
    for name, classes in _PARTS.items():
        part = data[name]
        # Looked at before it is read: a rule holds no rule.
        kind = part.get("class") if isinstance(part, dict) else None
        if part is not None and not (isinstance(kind, str) and kind in classes):
            raise ValueError(
                f"from_dict: the {name} of a rule is {short(part)}; expected one of the class "
                f"{' or '.join(classes)}."
            )
        parts[name] = None if part is None else from_dict(part)
    try:
        return DecisionRule(data["signal"], **parts)
    except (TypeError, ValueError) as error:
        raise ValueError(f"from_dict: {error}") from error


for _cls, _name, _keys, _write, _read in (
    (RiskControlledThreshold, "risk_controlled_threshold", _FITTED, _gate_to_dict, _gate_from_dict),
    (TriagePolicy, "triage_policy", ("params",), _policy_to_dict, _policy_from_dict),
    (QuantileCalibrator, "quantile", _FITTED, _quantiles_to_dict, _quantiles_from_dict),
    (DecisionRule, "decision_rule", ("signal", *_PARTS), _rule_to_dict, _rule_from_dict),
):
    FORMS[_cls] = _form(_name, _keys, _write, _read)
