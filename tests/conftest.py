"""What holds for every test."""

import os
import shutil
import sys
from contextlib import suppress

import pytest

with suppress(ImportError):  # the checks of calibkit.testing run without it
    from hypothesis import settings

    # The same examples on every machine, however slow.
    settings.register_profile("repeatable", deadline=None, derandomize=True)
    settings.load_profile("repeatable")

# With several processes, BLAS threads would fight for the cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")


#: A program that mypy reads; it does not run.
collect_ignore = ["data/wrong_program.py"]


@pytest.fixture(autouse=True)
def _no_figure_is_left_open():
    """Matplotlib warns of many open figures in whichever test opens the next."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Neighboring tests go to one process: what they share is made once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


#: Keeps Chromium from the network.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, which loads nothing but the page."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with driver.sync_playwright() as started:
        yield started.chromium.launch(executable_path=chromium, args=QUIET)
