"""Folders of this machine and addresses elsewhere, such as s3://bucket/photos, by one small door.

A file appears under its name whole or not at all. Object stores put an object in one step; on other
systems a file is written under another name and moved. Nothing is connected to unless an address
asks for it.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import TEMPORARY, AnyPath, read_bytes, tried, walk, write_atomically

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: Protocols whose stores put an object in one step.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "r2", "memory"}
#: Protocols whose package is one of our extras.
_EXTRAS = {"s3": "s3", "s3a": "s3"}
#: What stores call the thing that changes when an object does.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime",
          "updated", "created")  # fmt: skip


def is_address(place: AnyPath) -> bool:
    """Whether something is an address, and not a path of this machine.

    Example:
        >>> is_address("s3://bucket/photos"), is_address("file:///photos"), is_address("C:/photos")
        (True, False, False)
    """
    text = str(place)
    return _SCHEME.match(text) is not None and not text.startswith("file://")


def as_place(place: AnyPath) -> str | Path:
    """An address as text, and anything else as a path; ``file://`` is a path.

    Example:
        >>> as_place("s3://bucket/a"), as_place("file:///tmp/a%20b").as_posix()
        ('s3://bucket/a', '/tmp/a b')
    """
    text = str(place)
    if is_address(text):
        return text.rstrip("/")
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return Path(place)


def store_of(place: AnyPath) -> Store:
    """The store at an address or a folder.

    Raises:
        UnsegError: when the package for its protocol is missing, or the address is none.
    """
    found = as_place(place)
    return Folder(found) if isinstance(found, Path) else Address(found)


class Store(ABC):
    """Files below a place, by names with ``/``. It can be pickled."""

    place: str
    """The address or the path, as it is shown."""

    @abstractmethod
    def marks(self) -> dict[str, str]:
        """Every file with what changes when it does, sorted; those that begin with a dot are not
        listed, nor what lies in folders that do.

        Raises:
            UnsegError: when it cannot be listed.
        """

    @abstractmethod
    def hidden(self, start: str) -> list[str]:
        """Names of the files of the place itself that begin so, such as with a dot."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Bytes of a file.

        Raises:
            UnsegError: when it is missing, empty, too large or cannot be read.
        """

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all; it is durable when this returns.

        Raises:
            UnsegError: when it cannot be written.
        """

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless it is there: whether it was written. Of two at a time one does."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object; None where there is none that can be read."""
        try:
            found = json.loads(self.read(name))
        except (UnsegError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def __str__(self) -> str:
        return self.place


class Folder(Store):
    """A folder of this machine.

    Args:
        path: of the folder, which need not exist to be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.place = path, str(path)

    def marks(self) -> dict[str, str]:
        found = {}
        if self.path.is_dir():
            for path, name in walk([self.path], set()):
                state = path.stat()
                found[name] = f"{state.st_size}:{state.st_mtime_ns}"
        return dict(sorted(found.items()))

    def hidden(self, start: str) -> list[str]:
        return sorted(path.name for path in self.path.glob(f"{start}*"))

    def read(self, name: str) -> bytes:
        return read_bytes(self.path / name, name)

    def put(self, name: str, data: bytes) -> None:
        write_atomically(self.path / name, data)

    def create(self, name: str, data: bytes) -> bool:
        target = self.path / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as stream:
                stream.write(data)
        except FileExistsError:
            return False
        return True

    def remove(self, name: str) -> None:
        tried(partial((self.path / name).unlink, missing_ok=True))

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()


class Address(Store):
    """A place that fsspec reaches.

    Args:
        address: with its protocol, such as ``s3://bucket/photos``.

    Raises:
        UnsegError: when the package for its protocol is missing.
    """

    def __init__(self, address: str) -> None:
        import fsspec

        self.place = address
        self.protocol = address.partition("://")[0]
        if self.protocol in _EXTRAS:
            require(_EXTRAS[self.protocol], address)
        try:
            self._system, root = fsspec.core.url_to_fs(address)
        except ImportError as error:  # fsspec names the package
            raise UnsegError(f"{address} needs a package ({error}): pip install it") from error
        except (ValueError, OSError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UnsegError(f"{address} cannot be used ({first})") from error
        self._root = str(root).rstrip("/")

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        return Address, (self.place,)

    def marks(self) -> dict[str, str]:
        try:
            self._system.invalidate_cache()
            listed = self._system.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # each system has its own
            raise self._failed(error, "listed") from error
        found = {}
        for path, about in listed.items():
            name = str(path).lstrip("/").removeprefix(self._root.lstrip("/")).lstrip("/")
            if not name or name.endswith("/"):  # a folder that a console made
                continue
            if not any(part.startswith(".") for part in PurePosixPath(name).parts):
                mark = next((str(about[key]) for key in _MARKS if about.get(key)), "")
                found[name] = f"{about.get('size')}:{mark}"
        return dict(sorted(found.items()))

    def hidden(self, start: str) -> list[str]:
        try:
            self._system.invalidate_cache()
            listed = self._system.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed(error, "listed") from error
        names = (str(path).rpartition("/")[2] for path in listed)
        return sorted(name for name in names if name.startswith(start))

    def read(self, name: str) -> bytes:
        try:
            self._system.invalidate_cache()  # s3fs reads no more than the size that it remembers
            data = tried(partial(self._system.cat_file, self._path(name)))
        except Exception as error:
            raise self._failed(error, "read", name) from error
        if not data:
            raise UnsegError(f"{self.place}/{name} is empty (0 bytes): copy the file again")
        return bytes(data)

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            if self.protocol in _ATOMIC:
                tried(partial(self._system.pipe_file, path, data))
            else:
                self._put_and_move(path, data)
        except Exception as error:
            raise self._failed(error, "written", name) from error

    def _put_and_move(self, path: str, data: bytes) -> None:
        """Write under another name in the same folder, and move."""
        folder = path.rpartition("/")[0]
        temporary = f"{folder}/{TEMPORARY.replace('*', secrets.token_hex(8))}"
        self._system.makedirs(folder, exist_ok=True)
        try:
            tried(partial(self._system.pipe_file, temporary, data))
            tried(partial(self._system.mv, temporary, path))
        except BaseException:
            if self._system.exists(temporary):
                self._system.rm_file(temporary)
            raise

    def create(self, name: str, data: bytes) -> bool:
        try:
            self._system.pipe_file(self._path(name), data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            if _taken(error):
                return False
            raise self._failed(error, "written", name) from error
        return True

    def remove(self, name: str) -> None:
        try:
            self._system.rm_file(self._path(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(error, "removed", name) from error

    def has(self, name: str) -> bool:
        try:
            self._system.invalidate_cache()
            return bool(self._system.exists(self._path(name)))
        except Exception as error:
            raise self._failed(error, "read", name) from error

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _failed(self, error: Exception, what: str, name: str = "") -> UnsegError:
        first = str(error).strip().splitlines() or [type(error).__name__]
        place = f"{self.place}/{name}" if name else self.place
        return UnsegError(
            f"{place} cannot be {what} ({first[0][:200]}): check the address, your access to it "
            "and the network"
        )


def _taken(error: Exception) -> bool:
    """Whether a store says that an object is there. Some stores that speak S3 do not say which
    condition failed; the code of theirs is then only in what caused the error."""
    said, known = [], ("PreconditionFailed", "ConditionalRequestConflict", "412")
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) == errno.EEXIST:
            return True
        said.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return any(one in text for one in known for text in said)
