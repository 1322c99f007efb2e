"""Pictures of calibration; matplotlib is imported when one is drawn."""

from ._reliability import ReliabilityDisplay as ReliabilityDisplay
