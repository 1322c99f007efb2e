"""Fitted calibrators, thresholds and decision rules as SQL, ONNX or plain code."""

from . import _engines as _engines
from ._golden import golden_vectors as golden_vectors
from ._sql import to_sql as to_sql

__all__ = ["golden_vectors", "to_sql"]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
