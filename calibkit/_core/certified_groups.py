"""Independent groups of rows, and how large they can be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._typing import IntArray
from .errors import InputError
from .inputs import group_codes
from .params import check_int


class Grouping(NamedTuple):
    """The group of each row, and the most rows that a group can have."""

    codes: IntArray
    size: int


def grouping(groups: Any, max_group_size: Any, n: int) -> Grouping | None:
    """Checked groups of n rows; None if all rows are independent."""
    if max_group_size is not None:
        check_int("max_group_size", max_group_size, low=1)
    codes = group_codes(groups, n)
    size = largest_group(codes, max_group_size, "row")
    if codes is None or size == 1:
        return None
    if not codes.any() and n > 1:
        raise InputError(
            f"all {n:,} rows are of one group; expected independent groups, because rows of one "
            "group may depend on each other. Use rows of more groups."
        )
    return Grouping(codes, size)


def largest_group(codes: IntArray | None, most: int | None, row: str) -> int:
    """The most rows that a group can have: as given, or else as found; 1 without groups."""
    if codes is None:
        if most is not None:
            raise InputError(
                f"max_group_size={most} without groups; expected both. Pass the group of each "
                f"{row} as groups, or leave out max_group_size."
            )
        return 1
    found = int(np.bincount(codes).max())
    if most is not None and most < found:
        raise InputError(
            f"max_group_size={most}, and the largest group has {found} {row}s; expected at least "
            f"{found}."
        )
    return int(most or found)
