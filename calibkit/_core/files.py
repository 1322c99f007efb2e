"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary path beside the target, links followed, that takes its place at the end.

    After an error nothing of it is left, and an older file stays as it was; the new one has its
    mode.
    """
    target = Path(os.path.realpath(target))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, _mode(target))  # mkstemp makes a private file
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):  # interrupted when it was in its place already
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """The mode of the file, or that of an ordinary new one."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
