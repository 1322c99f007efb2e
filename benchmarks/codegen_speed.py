"""Compare the time of token_confidence with one pass of np.add.reduceat over the same tokens.

``python benchmarks/codegen_speed.py [--rows 1000000] [--tokens 300]`` prints medians of CPU
seconds. Passes and measures take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from time import process_time

import numpy as np

from calibkit.codegen import Ragged, token_confidence

REPEATS = 5
CASES: list[tuple[str, str | list[str], str]] = [
    ("average", "average_token_probability", "probability"),
    ("average, logit", "average_token_probability", "logit"),
    ("geometric", "geometric_mean_probability", "probability"),
    ("total", "total_probability", "probability"),
    ("total, logit", "total_probability", "logit"),
    ("minimum", "min_token_probability", "probability"),
    ("perplexity", "perplexity", "probability"),
    ("length", "length", "probability"),
    (
        "four measures in one pass",
        [
            "average_token_probability",
            "geometric_mean_probability",
            "total_probability",
            "min_token_probability",
        ],
        "probability",
    ),
    ("low quantile", "low_token_probability", "probability"),
]


def seconds(call: Callable[[], object]) -> float:
    start = process_time()
    call()
    return process_time() - start


def tokens(rows: int, length: int, dtype: type) -> Ragged:
    """Log-probabilities like those of a language model: most near 0, some far below."""
    few = (-np.random.default_rng(0).gamma(0.3, 1.0, 1 << 20)).astype(dtype)
    return Ragged(np.resize(few, rows * length), np.arange(rows + 1) * length)


def compare(data: Ragged, dtype: str) -> None:
    starts = data.offsets[:-1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for label, measure, scale in CASES:
        passes, times = [], []
        for _ in range(2 if "quantile" in label else REPEATS):
            passes.append(seconds(lambda: np.add.reduceat(data.values, starts)))
            times.append(seconds(lambda m=measure, s=scale: token_confidence(data, m, scale=s)))
        one, ours = np.median(passes), np.median(times)
        print(f"{dtype:8s} {label:27s} {ours:7.3f} s / {one:6.3f} s = {ours / one:5.2f}")
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{dtype:8s} extra memory {extra / 1024:.0f} MB at {len(data):,} outputs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of outputs")
    parser.add_argument("--tokens", type=int, default=300, help="tokens of each output")
    args = parser.parse_args()
    print(f"{args.rows:,} outputs of {args.tokens} tokens: CPU time over one np.add.reduceat pass")
    for dtype in (np.float32, np.float64):
        compare(tokens(args.rows, args.tokens, dtype), dtype.__name__)


if __name__ == "__main__":
    main()
