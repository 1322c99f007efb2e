"""Calibrate a stream: forecast each row, then update the calibrator when its label arrives.

Use these classes when labels keep arriving and the scores may drift. For a fixed set of labeled
rows, use the calibrators of :mod:`calibkit` itself.

Which one to use:

- :class:`TrackingCalibrator`: the default for two classes.
- :class:`AdaptivePlattCalibrator`: for drift of unknown speed, alone or inside of tracking.
- :class:`OnlineTemperatureCalibrator`: for more than two classes.
- :class:`HedgingCalibrator`: if the labels may react to the forecasts.
- :class:`OnlinePlattCalibrator`, :class:`OnlineBetaCalibrator`: the parametric maps themselves.
- :class:`WindowedCalibrator`: any batch calibrator, refitted at regular intervals.
- :class:`MultiStreamCalibrator`: one calibrator for each of many tenants or models.
- :class:`OnlineCalibratedClassifier`: a classifier together with an online calibrator.
- :class:`Journal`: keeps a calibrator in a file, so that a crash loses nothing.

How to call them depends on when labels arrive:

- Each label arrives before the next forecast: ``predict_then_update(X, y)`` forecasts the rows one
  by one and updates after each. For single rows: ``predict_proba_one(x)``, then
  ``learn_one(x, y)``.
- Labels arrive in batches: ``predict_proba(X)``, and later ``partial_fit(X, y)`` of the same rows.
- Labels arrive late, by row id: ``forecast(ids, X)``, and later ``label(ids, y)``.

Before the first label most calibrators return the scores (see each class). Until then,
``predict_proba`` needs ``classes=[...]``; ``forecast`` and ``predict_proba_one`` assume the classes
0, 1, ... unless ``classes`` is set.

A label that is None or NaN is skipped. A call that raises an error changes nothing. Any number of
threads may predict while one thread updates; each prediction uses the state before or after an
update. Save and copy a calibrator from the thread that updates it.

To measure forecasts: :func:`prequential_errors`, :class:`CalibrationAlarm`,
:class:`ComparisonAlarm` (which of two models is better),
:func:`compare_online_calibrators` and :class:`calibkit.DriftDisplay`.
"""

from .._registry import enter as _enter
from ._adaptive import AdaptivePlattCalibrator as AdaptivePlattCalibrator
from ._alarm import CalibrationAlarm as CalibrationAlarm
from ._base import OnlineCalibrator as OnlineCalibrator
from ._calibeating import HedgingCalibrator as HedgingCalibrator
from ._calibeating import TrackingCalibrator as TrackingCalibrator
from ._classifier import OnlineCalibratedClassifier as OnlineCalibratedClassifier
from ._compare import compare_online_calibrators as compare_online_calibrators
from ._journal import Journal as Journal
from ._multi import MultiStreamCalibrator as MultiStreamCalibrator
from ._pending import Labeled as Labeled
from ._prequential import Prequential as Prequential
from ._prequential import prequential_errors as prequential_errors
from ._race import ComparisonAlarm as ComparisonAlarm
from ._scaling import OnlineBetaCalibrator as OnlineBetaCalibrator
from ._scaling import OnlinePlattCalibrator as OnlinePlattCalibrator
from ._temperature import OnlineTemperatureCalibrator as OnlineTemperatureCalibrator
from ._windowed import WindowedCalibrator as WindowedCalibrator

_enter(globals())
__all__ = [name for name in globals() if not name.startswith("_")]
