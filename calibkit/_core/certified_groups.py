"""Certificates from independent groups of rows."""

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
    if codes is None:
        if max_group_size is not None:
            raise InputError(
                f"max_group_size={max_group_size} without groups; expected both. Pass the group "
                "of each row as groups, or leave out max_group_size."
            )
        return None
    most = np.bincount(codes).max()
    size = int(most) if max_group_size is None else int(max_group_size)
    if size < most:
        raise InputError(
            f"max_group_size={size}, and the largest group has {most} rows; expected at least "
            f"{most}."
        )
    if most == n > 1:
        raise InputError(
            f"all {n:,} rows are of one group; expected independent groups, because rows of one "
            "group may depend on each other. Use rows of more groups."
        )
    return None if size == 1 else Grouping(codes, size)
