"""Files and folders: walking a tree, reading bytes, and the one atomic writer."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from unseg.errors import UnsegError

AnyPath = str | os.PathLike[str]
Result = TypeVar("Result")

#: Name pattern of files that are being written.
TEMPORARY = ".unseg-*.tmp"
#: What storage says that may work a moment later.
_PASSING = {
    getattr(errno, name)
    for name in ("EIO", "EAGAIN", "EINTR", "EBUSY", "ESTALE", "ETIMEDOUT")
    if hasattr(errno, name)
}
#: Seconds to wait before each further try.
_WAITS = (0.02, 0.1, 0.4, 1.0)
#: Largest file, in bytes: its bytes are held in memory once.
MAX_BYTES = 1 << 30


def read_bytes(path: Path, name: str) -> bytes:
    """A file's bytes.

    Args:
        path: of the file.
        name: what to call it in messages.

    Raises:
        UnsegError: when the file is empty, too large or cannot be read.
    """
    try:
        size = tried(path.stat).st_size
        if size > MAX_BYTES:
            raise UnsegError(
                f"{name} has {size} bytes: expected at most {MAX_BYTES}; split it or make it "
                "smaller"
            )
        data = tried(path.read_bytes)
    except OSError as error:
        raise UnsegError(
            f"{name} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    if not data:
        raise UnsegError(f"{name} is empty (0 bytes): expected an image; copy the file again")
    return data


def tried(call: Callable[[], Result]) -> Result:
    """Call something that reads or writes; where storage fails in passing, a few times.

    Raises:
        OSError: the last one, or at once what does not pass, such as a full disk.
    """
    for wait in _WAITS:
        try:
            return call()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
        time.sleep(wait)
    return call()


def walk(
    inputs: Sequence[Path], skipped: Collection[Path], names: Collection[str] = ()
) -> Iterator[tuple[Path, str]]:
    """Files and their names relative to the input they were found in.

    Args:
        inputs: files, and folders that are searched recursively.
        skipped: resolved folders that are left out, as hidden ones are.
        names: folders of these names are left out, too.

    Yields:
        The path, and its name below its input, with ``/``.

    Raises:
        UnsegError: when a folder cannot be listed.
    """
    for start in inputs:
        if not start.is_dir():
            yield start, start.name
            continue
        for folder, folders, files in os.walk(start, onerror=_unreadable, followlinks=True):
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name not in names and _entered(here, name, skipped)
            )
            below = here.relative_to(start).as_posix()
            prefix = "" if below == "." else f"{below}/"
            for name in sorted(files):
                if not name.startswith("."):
                    yield here / name, prefix + name


def _entered(here: Path, name: str, skipped: Collection[Path]) -> bool:
    """Whether a folder is searched: not where that is unwanted, or leads round and round."""
    target = (here / name).resolve()
    if any(target.is_relative_to(one) for one in skipped):
        return False
    return not here.resolve().is_relative_to(target)  # else a link to a folder that it lies in


def _unreadable(error: OSError) -> None:
    """What lies in a folder that cannot be listed would stay unprotected in silence."""
    raise UnsegError(
        f"{error.filename} cannot be read ({error.strerror}): check its permissions, or leave it "
        "out"
    ) from error


@contextmanager
def temporary_file(target: Path, data: bytes | Callable[[Path], None] = b"") -> Iterator[Path]:
    """A file beside its target, complete and on disk; gone afterwards unless it was moved.

    Args:
        target: where it will go.
        data: its bytes, or a function that writes the file.

    Raises:
        UnsegError: when the folder cannot be written.
    """
    temporary = target.with_name(TEMPORARY.replace("*", f"{os.getpid()}-{secrets.token_hex(6)}"))
    try:
        try:
            tried(partial(target.parent.mkdir, parents=True, exist_ok=True))
            tried(partial(_fill, temporary, data))
        except OSError as error:
            raise cannot_write(target, error) from error
        del data  # may be large, and the caller reads the file back now
        yield temporary
    finally:
        with suppress(OSError):  # what stays is removed by the next run
            temporary.unlink(missing_ok=True)


def _fill(temporary: Path, data: bytes | Callable[[Path], None]) -> None:
    """Write a new file, whatever an earlier try left of it; it is on disk when this returns."""
    temporary.unlink(missing_ok=True)
    if callable(data):
        data(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
    else:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def move(temporary: Path, target: Path) -> None:
    """Move a written file to its place in one step; it is on disk when this returns.

    Raises:
        UnsegError: when the system refuses.
    """
    try:
        tried(lambda: temporary.replace(target))
        tried(lambda: _sync_folder(target.parent))
    except OSError as error:
        raise cannot_write(target, error) from error


def _sync_folder(folder: Path) -> None:
    """Have a folder's list of names on disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append(path: Path, line: bytes) -> None:
    """Add a line to a file, whole or not at all; it is on disk when this returns.

    A line that failed half-way is cut off again.

    Raises:
        UnsegError: when the system refuses.
    """
    try:
        before = tried(lambda: path.stat().st_size if path.exists() else 0)
        tried(lambda: _append(path, line, before))
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, before)
        raise cannot_write(path, error) from error


def _append(path: Path, line: bytes, before: int) -> None:
    with path.open("ab") as stream:
        stream.truncate(before)
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def write_atomically(target: Path, data: bytes | Callable[[Path], None]) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        target: the file.
        data: its bytes, or a function that writes a file (``torch.save``, ``numpy.savez``).

    Raises:
        UnsegError: when it cannot be written.
    """
    with temporary_file(target, data) as temporary:
        move(temporary, target)


def refuse_taken(out: Path, name: str, *, overwrite: bool) -> None:
    """Refuse to replace a file unasked, or to write through a link out of a folder.

    Args:
        out: the output folder.
        name: of the file, relative to it.
        overwrite: whether a file that is there may be replaced.

    Raises:
        UnsegError: when the file may not be written.
    """
    target = out / name
    if not target.parent.resolve().is_relative_to(out.resolve()):
        raise UnsegError(
            f"{target} would be written outside {out}, because a folder on the way is a link: "
            "remove the link, or choose another folder with -o"
        )
    if target.exists() and not overwrite:
        raise UnsegError(
            f"{target} exists already: use --overwrite, or choose another folder with -o"
        )


def cannot_write(target: Path, error: OSError) -> UnsegError:
    """The error of a target that cannot be written."""
    return UnsegError(
        f"{target} cannot be written ({error.strerror or error}): check the folder's permissions "
        "and free space, or choose another folder with -o"
    )


def remove_stale(folder: Path) -> int:
    """Remove what killed runs left half-written; returns how many files and folders."""
    stale = list(folder.rglob(TEMPORARY))
    for path in stale:
        if path.is_dir() and not path.is_symlink():  # of a run that wrote a single file
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(stale)
