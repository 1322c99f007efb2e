"""`CalibratedClassifier`, and how it is saved."""

from ._wrapper import CalibratedClassifier as CalibratedClassifier
