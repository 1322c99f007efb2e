"""Fitted calibrators, thresholds and decision rules as SQL, ONNX or plain code."""

__all__: list[str] = []


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
