"""Facts as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np


def json_text(facts: dict[str, Any]) -> str:
    """Facts as JSON; characters that a terminal might obey are escaped, so they stay exact."""
    text = json.dumps(plain(facts), allow_nan=False, indent=2, ensure_ascii=False)
    odd = {c for c in set(text) if not (c.isprintable() or c == "\n")}
    return text.translate({ord(c): json.dumps(c)[1:-1] for c in odd})


def plain(value: Any) -> Any:
    """NumPy values as Python values, and numbers that are not finite as None."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
