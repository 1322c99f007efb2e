"""A fault for every public check of calibkit.testing to catch.

A mutant changes one method of a calibrator of the package while it is patched in; each is the least
fault of its kind that its check must see.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import calibkit.testing._batch
import calibkit.testing._online
from calibkit import (
    HistogramBinningCalibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    TemperatureCalibrator,
)
from calibkit._core.base import BaseCalibrator
from calibkit.online import AdaptivePlattCalibrator, OnlinePlattCalibrator
from calibkit.online._base import OnlineCalibrator
from calibkit.online._pending import Pending


class Mutant(NamedTuple):
    """What a check must catch: something in ``owner`` replaced while ``example`` is checked."""

    check: str
    example: BaseCalibrator
    owner: Any
    name: str
    changed: Callable[..., Any]

    def patched(self) -> Any:
        return patch.object(self.owner, self.name, self.changed, create=True)


MUTANTS: list[Mutant] = []


def catches(
    check: str, example: BaseCalibrator, name: str, owner: Any = None
) -> Callable[..., Any]:
    """Enter a function as the mutant of a method; it is given the true one first."""
    owner = type(example) if owner is None else owner
    true = getattr(owner, name)

    def enter(fault: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any, **kwargs: Any) -> Any:
            return fault(true, *args, **kwargs)

        MUTANTS.append(Mutant(check, example, owner, name, changed))
        return fault

    return enter


PLATT, TEMPERATURE = PlattCalibrator(), TemperatureCalibrator()
ONLINE = OnlinePlattCalibrator()


# -- two classes ---------------------------------------------------------------------------------


@catches("check_shapes_are_one", PLATT, "fit")
def reads_the_first_of_two_columns(fit, self, X, y, w=None):
    X = np.asarray(X)
    return fit(self, X[:, 0] if X.ndim == 2 else X, y, w)


@catches("check_labels_of_any_kind", PLATT, "fit")
def takes_words_in_another_order(fit, self, X, y, w=None):
    fitted = fit(self, X, y, w)
    if fitted.classes_.dtype.kind == "U":
        fitted.classes_ = fitted.classes_[::-1]
    return fitted


@catches("check_weights_are_repetitions", PLATT, "_fit")
@catches("check_weights_are_repetitions_multiclass", TEMPERATURE, "_fit")
def leaves_weights_out(fit, self, s, y, w):
    fit(self, s, y, None)


@catches("check_order_of_rows", PLATT, "_fit")
def looks_at_the_first_rows(fit, self, s, y, w):
    fit(self, s[:150], y[:150], None if w is None else w[:150])


@catches("check_rows_are_predicted_apart", PLATT, "_predict")
def looks_at_the_neighbours(predict, self, s):
    return np.full(len(s), s.probs().mean())


@catches("check_purity", PLATT, "_fit")
def writes_into_its_input(fit, self, s, y, w):
    fit(self, s, y, w)
    s.values[0] = 0.5


@catches("check_purity", PLATT, "fit")
def keeps_what_it_knew(fit, self, X, y, w=None):
    return self if hasattr(self, "slope_") else fit(self, X, y, w)


@catches("check_purity", IsotonicCalibrator(), "predict_proba")
def hands_out_what_it_remembers(predict_proba, self, X):
    if getattr(self, "last", (None,))[0] is not X:
        self.last = (X, predict_proba(self, X))
    return self.last[1]


@catches("check_state_is_declared", PLATT, "_fit")
def keeps_a_secret(fit, self, s, y, w):
    fit(self, s, y, w)
    self.secret_ = y


@catches("check_copies_are_exact", PLATT, "to_dict", calibkit.testing._batch)
@catches("check_copies_are_exact_multiclass", TEMPERATURE, "to_dict", calibkit.testing._batch)
def writes_six_digits(to_dict, calibrator):
    data = to_dict(calibrator)
    short = {k: round(v, 6) if isinstance(v, float) else v for k, v in data["state"].items()}
    return {**data, "state": short}


@catches("check_copies_are_exact", PLATT, "__getstate__")
def pickles_single_precision(getstate, self):
    return {**getstate(self), "slope_": float(np.float32(self.slope_))}


@catches("check_hard_data", PLATT, "_predict")
def has_no_answer_to_certainty(predict, self, s):
    q = predict(self, s)
    q[s.values == 1.0] = np.nan
    return q


@catches("check_hard_data_multiclass", TEMPERATURE, "_predict")
def has_no_answer_to_certainty_of_many(predict, self, s):
    q = predict(self, s)
    if s.n_classes > 2:
        q[s.values.max(axis=1) == 1.0] = np.nan
    return q


@catches("check_empty_batch", PLATT, "_predict")
def answers_where_nothing_was_asked(predict, self, s):
    return predict(self, s) if len(s) else np.full(1, 0.5)


@catches("check_bad_scores", PLATT, "predict_proba")
def repairs_bad_scores(predict_proba, self, X):
    return predict_proba(self, np.clip(np.nan_to_num(X), 0.0, 1.0))


@catches("check_bad_labels", PLATT, "fit")
def cuts_to_the_shorter(fit, self, X, y, w=None):
    return fit(self, X[: np.size(y)], y, w)


@catches("check_bad_weights", PLATT, "fit")
def turns_weights_positive(fit, self, X, y, w=None):
    return fit(self, X, y, None if w is None else np.abs(w))


@catches("check_failed_fit_changes_nothing", PLATT, "_unchanged_on_error")
def leaves_a_failed_fit_as_it_is(unchanged, self):
    self.__dict__.pop("classes_", None)
    self.slope_ = 0.0
    self.classes_ = np.array([0, 1])
    return nullcontext()


@catches("check_three_classes_refused_or_taken", PLATT, "fit")
def takes_the_last_of_many(fit, self, X, y, w=None):
    if np.ndim(X) == 2 and np.shape(X)[1] > 2:
        X, y = X[:, -1], y == y.max()
    return fit(self, X, y, w)


# -- K classes -----------------------------------------------------------------------------------


@catches("check_class_permutation", TEMPERATURE, "_predict")
def prefers_later_classes(predict, self, s):
    q = predict(self, s) * np.arange(1, s.n_classes + 1) if s.n_classes > 2 else predict(self, s)
    return q / q.sum(axis=1, keepdims=True) if q.ndim == 2 else q


@catches("check_missing_class", TEMPERATURE, "fit")
def forgets_classes_without_rows(fit, self, X, y, w=None):
    fitted = fit(self, X, y, w)
    fitted.classes_ = np.where(np.isin(fitted.classes_, y), fitted.classes_, "none")
    return fitted


# -- traits --------------------------------------------------------------------------------------


@catches("check_monotone", IsotonicCalibrator(), "_predict")
def turns_the_upper_half_round(predict, self, s):
    q = predict(self, s)
    return np.where(s.probs() > 0.5, 1.0 - q, q)


@catches("check_order_is_kept", PLATT, "_predict")
def rounds(predict, self, s):
    return np.round(predict(self, s), 2)


@catches("check_mean_is_base_rate", PLATT, "_predict")
def shrinks(predict, self, s):
    return 0.98 * predict(self, s)


@catches("check_few_values", IsotonicCalibrator(), "_predict")
def breaks_ties(predict, self, s):
    return 0.999 * predict(self, s) + 0.001 * s.probs()


@catches("check_outputs_tell_bins_apart", HistogramBinningCalibrator(), "_predict_columns")
def gives_two_bins_one_output(predict, self, s):
    return np.round(predict(self, s), 1)


@catches("check_reads_write_nothing", PlattCalibrator(), "predict_proba", BaseCalibrator)
def counts_its_forecasts(predict_proba, self, X):
    self.n_asked_ = getattr(self, "n_asked_", 0) + 1
    return predict_proba(self, X)


# -- streams -------------------------------------------------------------------------------------


@catches("check_blocks_make_no_difference", ONLINE, "_stream")
def learns_whole_blocks(stream, self, x, y):
    before = self._forecast(x)
    stream(self, x, y)
    return before


@catches("check_nothing_is_seen_ahead", ONLINE, "_stream")
def learns_before_it_forecasts(stream, self, x, y):
    stream(self, x, y)
    return self._forecast(x)


@catches("check_forecasts_match_predictions", ONLINE, "_predict")
def predicts_otherwise_than_it_forecasts(predict, self, s):
    return 0.99 * predict(self, s)


@catches("check_labels_may_be_missing", ONLINE, "_count")
def counts_rows_without_labels(count, self, codes):
    self.n_seen_ += float(len(codes))


@catches("check_late_labels", ONLINE, "_learn_batch")
def learns_late_labels_twice(absorb, self, features, y):
    absorb(self, features, y)
    absorb(self, features, y)


@catches("check_batches", AdaptivePlattCalibrator(), "partial_fit", OnlineCalibrator)
def learns_batches_row_by_row(partial_fit, self, X, y, classes=None):
    self.predict_then_update(X, y, classes)
    return self


@catches("check_state_does_not_grow", ONLINE, "add", Pending)
def keeps_all_that_waits(add, self, keys, features):
    room, self.room = self.room, 10**9
    add(self, keys, features)
    self.room = room


@catches("check_starts", ONLINE, "_known_classes")
def takes_any_labels_for_a_start(known_classes, self, given):
    known = known_classes(self, given)
    return np.array(["a", "b"]) if known is None and self.classes is None else known


@catches("check_failed_update_changes_nothing", ONLINE, "_unchanged_on_error")
def leaves_a_failed_update_as_it_is(unchanged, self):
    return nullcontext()


@catches("check_one_row_at_a_time", ONLINE, "learn_one", OnlineCalibrator)
def counts_a_missing_label(learn_one, self, x, y):
    return learn_one(self, x, 0 if y is None else y)
