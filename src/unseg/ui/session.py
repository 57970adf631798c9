"""One visitor's photographs, in a folder of their own, from the first upload to the closed page."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from unseg.errors import UnsegError
from unseg.files import read_bytes
from unseg.images.reader import count_pixels, decode
from unseg.protect.manifest import Record
from unseg.ui.engine import OpenPhoto, PageModels
from unseg.ui.limits import check_all, check_file
from unseg.ui.objects import ChosenObjects

#: Photographs whose embedding is kept at a time; 12 MB each, and the view before the first click.
_OPEN = 4
#: How the names of the sessions' folders begin.
_SESSION = "session-"
#: Longest name of a file that is kept, its suffix not counted.
_NAME = 80


@dataclass
class PagePhoto:
    """A photograph on the page.

    Args:
        name: of the file, one of its kind in the session, with its stem.
        path: where its bytes are.
        size: of the file, in bytes.
        objects: what is chosen; None before it was looked at.
    """

    name: str
    path: Path
    size: int
    objects: ChosenObjects | None = None


@dataclass
class PageResult:
    """What the last run made.

    Args:
        folder: with the written files.
        records: of every photograph that was dealt with.
        posted: what a network leaves, in words, by names of photograph and network.
    """

    folder: Path
    records: list[Record]
    posted: dict[tuple[str, str], str] = field(default_factory=dict)

    def record(self, name: str) -> Record | None:
        """Of a photograph, by its name."""
        return next((one for one in self.records if one.source == name), None)


class Session:
    """One visitor's state.

    Args:
        folder: made here, private; removed with the session.
        engine: the models.
    """

    def __init__(self, folder: Path, engine: PageModels) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self.folder, self.engine = folder, engine
        (folder / "originals").mkdir(mode=0o700)
        self.photos: dict[str, PagePhoto] = {}
        self.result: PageResult | None = None
        #: Set to end the run in hand.
        self.stop = threading.Event()
        #: Held while photographs are read or written, so that nothing is removed meanwhile.
        self.busy = threading.RLock()
        self.closed = False
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._looking = threading.Lock()  # two calls at once must not read one photograph twice
        self._numbers = 0

    def add(self, upload: Path) -> PagePhoto:
        """Take a file over; it is moved out of the folder of uploads.

        Args:
            upload: the file, named as the visitor's is.

        Raises:
            UnsegError: when it is no image by its first bytes, or one too many. It is deleted then.
        """
        size = upload.stat().st_size
        try:
            check_file(size, upload.name)
            check_all([*(one.size for one in self.photos.values()), size], upload.name)
            if not count_pixels(upload):
                # Reading it says why; kinds that Pillow does not know, as DICOM, pass.
                decode(read_bytes(upload, upload.name), upload.name)
            name = self._free_name(upload)
            path = self.folder / "originals" / name
            shutil.move(upload, path)
        finally:
            upload.unlink(missing_ok=True)
            with suppress(OSError):  # other files are on their way in it
                upload.parent.rmdir()
        self.photos[name] = PagePhoto(name, path, size)
        return self.photos[name]

    def open(self, name: str) -> tuple[PagePhoto, OpenPhoto]:
        """A photograph and what is kept of it, which is read if it was not.

        Raises:
            UnsegError: when it is not there, or cannot be read.
        """
        with self._looking:
            photo = self.photos.get(name)
            if photo is None:
                raise UnsegError("there is no such photograph any more: load the page again")
            opened = self._open.pop(name, None) or self.engine.open(photo.path, name)
            self._open[name] = opened
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            if photo.objects is None:
                photo.objects = ChosenObjects(opened.found)
            return photo, opened

    def drop(self, name: str) -> None:
        """Delete one photograph."""
        photo = self.photos.pop(name, None)
        self._open.pop(name, None)
        if photo is not None:
            photo.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Delete all photographs and what was made of them."""
        self.stop.set()
        with self.busy:
            self.photos.clear()
            self._open.clear()
            self.result = None
            for path in self.folder.iterdir():
                _delete(path)
            (self.folder / "originals").mkdir(mode=0o700)

    def remove(self) -> None:
        """End the session: nothing of it is left."""
        self.closed = True
        self.stop.set()
        with self.busy:
            self.photos.clear()
            self._open.clear()
            self.result = None
            shutil.rmtree(self.folder, ignore_errors=True)

    def fresh(self, stem: str, suffix: str) -> Path:
        """A new file's path in the folder; earlier ones of the stem are removed."""
        for path in self.folder.glob(f"{stem}-*{suffix}"):
            _delete(path)
        self._numbers += 1
        return self.folder / f"{stem}-{self._numbers}{suffix}"

    def _free_name(self, upload: Path) -> str:
        """A name whose stem no other photograph has, as outputs are told apart by it."""
        stem, suffix = upload.stem[:_NAME].lstrip(".") or "photo", upload.suffix
        taken = {Path(name).stem for name in self.photos}
        number, free = 1, stem
        while free in taken:
            number += 1
            free = f"{stem}-{number}"
        return free + suffix


def _delete(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Sessions:
    """All visitors.

    Args:
        folder: private; every session has one below it, with a name that nobody guesses.
        engine: the models.
    """

    def __init__(self, folder: Path, engine: PageModels) -> None:
        self._folder, self._engine = folder, engine
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._closed: set[str] = set()

    def get(self, key: str | None) -> Session:
        """A visitor's session; made at their first call.

        Args:
            key: which page it is.

        Raises:
            UnsegError: when it was closed.
        """
        with self._lock:
            if key is None or key in self._closed:
                raise UnsegError(
                    "this page was closed or left alone for a while, and its photographs were "
                    "deleted: load it again"
                )
            if key not in self._open:
                folder = self._folder / f"{_SESSION}{secrets.token_hex(16)}"
                self._open[key] = Session(folder, self._engine)
            return self._open[key]

    def close(self, key: str | None) -> None:
        """Delete a session with all its files; does nothing where there is none."""
        with self._lock:
            if key is not None:
                self._closed.add(key)
            session = self._open.pop(key or "", None)
            last = not self._open
        if session is not None:
            session.remove()
        if last:
            self._sweep()

    def _sweep(self) -> None:
        """Remove what broken off uploads left, when nobody is there whose they might be."""
        for path in self._folder.iterdir():
            if not path.name.startswith(_SESSION):
                _delete(path)

    def each(self, call: Callable[[Session], None]) -> None:
        """Call something with every session."""
        with self._lock:
            found = list(self._open.values())
        for session in found:
            call(session)
