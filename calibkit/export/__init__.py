"""Fitted calibrators, thresholds and decision rules as SQL, ONNX or plain code."""

from ._golden import golden_vectors as golden_vectors

__all__ = ["golden_vectors"]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
