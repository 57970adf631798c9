"""The page's private folder: what is uploaded lies below it, and goes with it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "unseg-ui-"
_NAME = re.compile(rf"{_PREFIX}(\d+)-\w+")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only this user can read, removed at the end with all that is in it.

    While it is there, everything temporary of this process is made in it. What a page left that
    was killed is removed first.
    """
    remove_left_over(Path(tempfile.gettempdir()))
    before = tempfile.tempdir
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve()
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_over(parent: Path) -> None:
    """Remove this user's folders of pages whose process is gone."""
    for path in parent.glob(f"{_PREFIX}*"):
        found = _NAME.fullmatch(path.name)
        if found is None or path.is_symlink() or not path.is_dir():
            continue
        if _mine(path) and not _runs(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _mine(path: Path) -> bool:
    try:
        return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    except OSError:
        return False


def _runs(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True
