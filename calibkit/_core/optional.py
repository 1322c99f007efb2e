"""Optional packages: imported when needed, with one line of advice where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, extra: str | None = None) -> Any:
    """Import a module of an optional package, or say how to install it.

    ``extra`` is the extra of calibkit that brings the package; None if no extra does.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or package).partition(".")[0] != package:
            raise  # the package is there, and it is one of its own needs that is not
        wanted = f'"calibkit[{extra}]"' if extra else package
        raise ImportError(f"{package} is not installed: pip install {wanted}") from error
