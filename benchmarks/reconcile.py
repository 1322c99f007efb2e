"""ECEs of other packages on the data of the guide docs/guides/coming_from_other_packages.py.

    python benchmarks/reconcile.py      # extra bench, and mapie

The guide computes each package's ECE from its definition. This runs the packages themselves, and
prints both with their difference. A package that is not installed is named as such.
"""

from __future__ import annotations

import contextlib
import io
import runpy
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "coming_from_other_packages.py"


def netcal(p: np.ndarray, y: np.ndarray) -> float:
    from netcal.metrics import ECE

    return float(ECE(bins=10).measure(p, y))


def calibre(p: np.ndarray, y: np.ndarray) -> float:
    from calibre.metrics import expected_calibration_error

    return float(expected_calibration_error(y, p))


def uncertainty_calibration(p: np.ndarray, y: np.ndarray) -> float:
    from calibration import get_ece

    return float(get_ece(p, y))


def torchmetrics(p: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    return float(binary_calibration_error(torch.as_tensor(p), torch.as_tensor(y), n_bins=15))


def mapie(p: np.ndarray, y: np.ndarray) -> float:
    from mapie.metrics.calibration import expected_calibration_error

    return float(expected_calibration_error(y, p))


def relplot(p: np.ndarray, y: np.ndarray) -> float:
    from relplot.metrics import binnedECE

    return float(binnedECE(p, y))


PACKAGES: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "netcal": ("netcal", netcal),
    "calibre": ("calibre", calibre),
    "uncertainty-calibration": ("uncertainty-calibration", uncertainty_calibration),
    "torchmetrics": ("torchmetrics", torchmetrics),
    "MAPIE": ("mapie", mapie),
    "relplot": ("relplot", relplot),
}


def main() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        page = runpy.run_path(str(GUIDE))
    print(f"{'package':<24} {'version':<10} {'package says':<16} {'guide says':<16} difference")
    for name, (package, ece) in PACKAGES.items():
        try:
            value = ece(page["p"], page["y"])
        except ImportError as error:
            print(f"{name:<24} not run: {error}")
            continue
        said = page["defined"][name]
        print(
            f"{name:<24} {version(package):<10} {value:<16.12f} {said:<16.12f} {value - said:.1e}"
        )


if __name__ == "__main__":
    main()
