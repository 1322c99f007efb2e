"""The wrapper of a classifier, and its file."""

from ._wrapper import CalibratedClassifier as CalibratedClassifier
