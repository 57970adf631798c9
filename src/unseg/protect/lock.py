"""One run at a time on an output folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.files import cannot_write, tried
from unseg.protect.shard import Shard, shard_of

#: In the output folder, while a run writes to it.
LOCK = ".unseg-lock"
#: The holder touches its file this often, in seconds.
BEAT = 20.0
#: A holder on another machine that has not done so for as long is taken for dead.
DEAD_AFTER = 180.0
_TRIES = 5
#: What a file system says that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(folder: Path, shard: Shard | None = None) -> Iterator[None]:
    """Hold an output folder, or a part of it, against other runs.

    The parts of one run may be held side by side, each once; a whole run excludes them all. The
    system drops the lock of a process that dies, so a killed run locks nobody out. On file systems
    without locks, and between machines that do not share them, the holder's process number and the
    age of its file decide.

    Args:
        folder: the output folder, made where it is missing.
        shard: the part of the run, or None for a whole one.

    Raises:
        UnsegError: when another run holds it, or the folder cannot be written.
    """
    name = LOCK if shard is None else shard.named(LOCK)
    with hold(folder / name, f"the output folder {folder}"):
        for path in sorted(folder.glob(f"{LOCK}*")):
            other = shard_of(path.name, LOCK)
            beside = other is not None and shard is not None and other.count == shard.count
            if path.name != name and not beside:
                _refuse_held(path, f"the output folder {folder}")
        yield


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file; it is gone afterwards.

    Args:
        path: of the lock file.
        what: that it stands for, in messages.

    Raises:
        UnsegError: when another process holds it, or it cannot be written.
    """
    try:
        tried(partial(path.parent.mkdir, parents=True, exist_ok=True))
        descriptor = tried(partial(_take, path, what))
    except OSError as error:
        raise cannot_write(path, error) from error
    over = threading.Event()
    threading.Thread(target=_beat, args=(descriptor, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        with suppress(OSError):  # Windows removes no open file
            if sys.platform == "win32":
                path.unlink()


def _take(path: Path, what: str) -> int:
    """An open descriptor of the lock file, with the lock on it and this process's name in it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            free = _lock(descriptor)
            earlier = _holder(descriptor)
            if free is False or _alive(earlier, descriptor, certain=free is True):
                raise _busy(path, what, earlier)
            if not _same(descriptor, path):  # its holder removed it meanwhile
                os.close(descriptor)
                continue
            mine = {"pid": os.getpid(), "host": platform.node(), "started": round(time.time())}
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(mine).encode())
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _refuse_held(path: Path, what: str) -> None:
    """Refuse to go on where another process holds a lock file; a dead one's is removed."""
    for left in range(_TRIES, 0, -1):
        try:
            with hold(path, what):
                return
        except UnsegError:
            if left == 1:
                raise
            time.sleep(0.1)  # another part may only be looking, too


def _lock(descriptor: int) -> bool | None:
    """Ask the system for the lock: whether it was free; None where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # not where others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _holder(descriptor: int) -> dict[str, Any]:
    """What the last holder wrote; empty where it wrote nothing yet."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = json.loads(os.read(descriptor, 4096) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(holder: dict[str, Any], descriptor: int, *, certain: bool) -> bool:
    """Whether the last holder goes on, although the system's lock does not say so.

    Args:
        holder: what it wrote.
        descriptor: of the lock file.
        certain: whether the system has locks, so that no process of this machine holds it.
    """
    if not holder:
        return False
    if holder.get("host") == platform.node():
        return not certain and _runs(holder.get("pid"))
    return time.time() - os.fstat(descriptor).st_mtime < DEAD_AFTER


def _runs(pid: object) -> bool:
    """Whether a process of this machine is there."""
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid() or sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _busy(path: Path, what: str, holder: dict[str, Any]) -> UnsegError:
    pid, host, started = (holder.get(name) for name in ("pid", "host", "started"))
    who = ""
    if isinstance(pid, int) and isinstance(started, int | float):
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        who = f" (process {pid} on {host} since {since})"
    there = "" if host in (None, platform.node()) else f", or remove {path} if that run is over"
    return UnsegError(
        f"{what} is in use by another run{who}: wait until it is done, or choose another with "
        f"-o{there}"
    )


def _beat(descriptor: int, over: threading.Event) -> None:
    """Show machines that do not share locks that the holder goes on."""
    while not over.wait(BEAT):
        with suppress(OSError):
            os.utime(descriptor)
