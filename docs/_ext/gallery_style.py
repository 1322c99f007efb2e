"""The state in which each script of the guides and the gallery starts."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl


def reset(gallery_conf: dict[str, Any], file: str) -> None:
    """Make figures small."""
    mpl.rcParams.update({"figure.figsize": (6.4, 4.4), "savefig.dpi": 100, "figure.dpi": 100})
