"""Links against SciPy and against exact arithmetic where SciPy rounds."""

import numpy as np
import pytest
from scipy import special

from calibkit._numerics.links import (
    expit,
    logit,
    one_vs_rest_log_odds,
    row_blocks,
    softmax,
    top_log_odds,
)


def test_binary_links_agree_with_scipy():
    z = np.linspace(-40, 40, 4001)
    np.testing.assert_allclose(expit(z), special.expit(z), rtol=1e-14)
    p = np.linspace(0.001, 0.999, 999)
    np.testing.assert_allclose(logit(p), special.logit(p), rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(expit(np.array([-1e4, 1e4, -800.0])), [0, 1, 0])


def test_softmax_agrees_with_scipy_and_stands_large_logits():
    z = np.random.default_rng(0).normal(size=(50, 7)) * 500
    np.testing.assert_allclose(softmax(z), special.softmax(z, axis=1), atol=1e-15)


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
def test_one_vs_rest_log_odds_by_logsumexp(scale):
    z = np.random.default_rng(0).normal(size=(200, 5)) * scale
    expected = np.column_stack(
        [z[:, k] - special.logsumexp(np.delete(z, k, axis=1), axis=1) for k in range(5)]
    )
    np.testing.assert_allclose(one_vs_rest_log_odds(z), expected, rtol=1e-12, atol=1e-12)
    winners, odds = top_log_odds(z)
    np.testing.assert_array_equal(winners, z.argmax(axis=1))
    np.testing.assert_allclose(odds, expected.max(axis=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (10, 3), (100_000, 1), (7, 10**6)])
def test_row_blocks_cover_every_row_once(shape):
    rows = np.concatenate([np.arange(shape[0])[b] for b in row_blocks(*shape)])
    np.testing.assert_array_equal(rows, np.arange(shape[0]))
