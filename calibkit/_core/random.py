"""Random numbers: ``random_state`` in, a NumPy generator inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .printed import spelled


def check_seed(random_state: Any) -> None:
    """Raise unless a generator can be made of it; none is, of one that this would move on."""
    moving = isinstance(random_state, (np.random.Generator, np.random.RandomState))
    if not moving and random_state is not np.random:
        generator(random_state)


def generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, a generator, a RandomState or None."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState) or random_state is np.random:
        return np.random.default_rng(check_random_state(random_state).randint(2**31))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"random_state={spelled(random_state)}; expected an int >= 0, a generator, a "
            "RandomState or None."
        ) from error
