"""Fitted calibrators, thresholds and decision rules as SQL, ONNX or plain code."""

from . import _engines as _engines
from ._check import ExportCheck as ExportCheck
from ._check import check_export as check_export
from ._code import to_c as to_c
from ._code import to_java as to_java
from ._code import to_javascript as to_javascript
from ._code import to_python as to_python
from ._code import to_rust as to_rust
from ._golden import Exported as Exported
from ._golden import golden_vectors as golden_vectors
from ._onnx import to_onnx as to_onnx
from ._sql import to_sql as to_sql

__all__ = [name for name in globals() if not name.startswith("_")]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
