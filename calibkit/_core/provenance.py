"""When, by which version and on how many rows an object was fitted, and the hash of these rows."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from .errors import InputError

#: Number of sums that are hashed for long arrays; a prime, so that few patterns repeat with it.
_WIDTH = 509


class Provenance(NamedTuple):
    """When and on which rows an object was fitted; equal objects may differ in it.

    Attributes
    ----------
    rows : int or None
        Number of rows in ``fit``; None if there were none.
    when : float
        Time in seconds since 1970; the variable ``SOURCE_DATE_EPOCH`` replaces it if set.
    version : str
        The version of calibkit.
    hash : str or None
        Hash of the scores and labels of ``fit``: the same rows give the same hash, for any names of
        columns and classes. It does not protect against forgery. None for streams, and for
        calibrators that learn nothing from the rows.
    """

    rows: int | None
    when: float
    version: str
    hash: str | None

    def __str__(self) -> str:
        rows = "" if self.rows is None else f" on {self.rows:,} rows"
        rows += "" if self.hash is None else f" (hash {self.hash[:12]})"
        return f"fitted{rows}, {_date(self.when)}, by calibkit {self.version}"


class Traced:
    """Base of objects that know what they were fitted on."""

    @property
    def fitted_on_(self) -> Provenance | None:
        """When, by which version and on how many rows; for streams, on the rows so far."""
        record: Provenance | None = self.__dict__.get("_fitted_on")
        seen = getattr(self, "n_seen_", None)
        if seen is None or (record is not None and record.rows == seen):
            return record
        return provenance(int(seen))


def provenance(rows: int | None, *values: np.ndarray) -> Provenance:
    """The provenance of a fit now; ``values`` are the scores and labels of the rows."""
    from .. import __version__

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    when = float(epoch) if epoch.isdecimal() and len(epoch) < 12 else time.time()
    return Provenance(rows, when, __version__, _hash(values) if values else None)


def _hash(values: tuple[np.ndarray, ...]) -> str:
    """Hash of arrays; for long ones of sums of their bits, which takes a tenth of the time."""
    digest = hashlib.sha256()
    for a in values:
        digest.update(str(a.shape).encode())
        a = np.ascontiguousarray(a if a.dtype.kind == "f" else a.astype(np.uint16)).reshape(-1)
        if len(a) >= 2 * _WIDTH:
            bits = a.view(f"u{a.itemsize}")
            whole = len(a) // _WIDTH * _WIDTH
            sums = np.add.reduce(bits[:whole].reshape(-1, _WIDTH), axis=0, dtype=bits.dtype)
            digest.update(sums.data)
            a = a[whole:]
        digest.update(a.data)
    return digest.hexdigest()[:32]


def _date(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def provenance_to_dict(record: Provenance) -> dict[str, Any]:
    """The dict that files contain."""
    when = _date(record.when)
    return {"rows": record.rows, "when": when, "calibkit": record.version, "hash": record.hash}


def provenance_from_dict(data: Any) -> Provenance:
    """Read from a file; ValueError if it is not such a dict."""
    try:
        rows, when, version, digest = (data[k] for k in ("rows", "when", "calibkit", "hash"))
        seconds = datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        right = len(data) == 4 and (rows is None or (type(rows) is int and 0 <= rows <= 2**53))
        right &= isinstance(version, str) and (digest is None or isinstance(digest, str))
        if right and len(version) <= 100 and len(digest or "") <= 128:
            return Provenance(rows, seconds.timestamp(), version, digest)
    except (TypeError, KeyError, ValueError):
        pass
    raise InputError(
        "fitted_on is not what calibkit writes; expected rows, when ('2026-01-31T12:00:00Z'), "
        "calibkit and hash. Leave it out of the file."
    )
