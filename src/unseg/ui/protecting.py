"""A batch of photographs protected by the library's own run, with what was clicked as masks."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.view import at_photo_size
from unseg.masks.labelmap import LabelMap
from unseg.masks.sources import Found, MaskSource
from unseg.progress import Update
from unseg.protect.folder import FolderRun
from unseg.protect.plan import make_plan
from unseg.protect.settings import OutputFormat, Settings, Strip
from unseg.protect.visibility import Visibility
from unseg.ui.session import PagePhoto, PageResult, Session

#: Name of the zip with all protected photographs.
ZIP = "unseg-protected.zip"


@dataclass(frozen=True)
class Choices:
    """What is chosen on the page; the fields of :class:`Settings` of the same names."""

    visibility: Visibility = "normal"
    format: OutputFormat = "png"
    strip: Strip = "none"

    def settings(self, settings: Settings) -> Settings:
        """Settings with these choices.

        Raises:
            UnsegError: when one is not known.
        """
        return replace(settings, visibility=self.visibility, format=self.format, strip=self.strip)


class PageMasks(MaskSource):
    """What was clicked on the page; photographs that were left as found are not in it.

    Args:
        masks: (h, w) bool at the model's size, by name of the photograph.
    """

    name = "page"
    summary = "what was clicked on the page of unseg ui"
    nothing = "what was found is what is protected"
    given = True
    exact = True

    def __init__(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        self.masks = masks

    def find(self, photo: Photo, name: str) -> Found | None:
        mask = self.masks.get(name)
        if mask is None:
            return None
        return Found(LabelMap(at_photo_size(mask.view(np.uint8), photo)))

    def identity(self, name: str) -> str:
        mask = self.masks.get(name)
        return "" if mask is None else hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()


class _Stopped(Exception):
    """The visitor ended the run."""


def refuse_empty(session: Session) -> None:
    """Refuse to begin where there is nothing to protect.

    Raises:
        UnsegError: naming the photograph in which nothing is chosen.
    """
    if not session.photos:
        raise UnsegError("there is no photograph yet: drop one first")
    for photo in session.photos.values():
        if photo.objects is not None and photo.objects.changed and not photo.objects.masks:
            raise UnsegError(
                f"nothing is chosen in {photo.name}, so there is nothing to protect: click on an "
                "object, or start over"
            )


def protect_session(session: Session, choices: Choices, progress: Callable[[Update], None]) -> bool:
    """Protect all photographs of a session, as ``unseg protect`` would with these masks.

    The result replaces that of an earlier run.

    Args:
        session: with photographs.
        choices: of the page.
        progress: told of every image, from this thread.

    Returns:
        Whether the visitor ended it before all were done. What was done is kept.

    Raises:
        UnsegError: when it could not be begun.
    """
    with session.busy:
        refuse_empty(session)
        session.stop.clear()
        _drop_result(session)
        settings = choices.settings(session.engine.settings)
        tools = session.engine.tools
        out = session.fresh("protected", "")
        out.mkdir(mode=0o700)
        photos = list(session.photos.values())
        plan = make_plan([one.path for one in photos], out, format=settings.format)
        run = FolderRun(
            plan, settings, [PageMasks(_chosen(photos)), *tools.sources], tools.noises,
            device=session.engine.device,
        )  # fmt: skip
        session.result = PageResult(out, [])
        return _complete(run, session, session.result, progress)


def _complete(
    run: FolderRun, session: Session, result: PageResult, progress: Callable[[Update], None]
) -> bool:
    def told(update: Update) -> None:
        if update.item is not None:
            result.records.append(update.item)
        progress(update)
        if session.stop.is_set() and update.done < update.total:
            raise _Stopped

    try:
        run.complete(told)
    except _Stopped:
        return True
    return False


def _chosen(photos: list[PagePhoto]) -> dict[str, NDArray[np.bool_]]:
    """Masks of the photographs in which something was clicked."""
    return {
        one.name: one.objects.union
        for one in photos
        if one.objects is not None and one.objects.changed
    }


def _drop_result(session: Session) -> None:
    if session.result is not None:
        shutil.rmtree(session.result.folder, ignore_errors=True)
        session.result = None
    (session.folder / ZIP).unlink(missing_ok=True)


def written_files(result: PageResult) -> list[Path]:
    """The protected photographs of a result, in order."""
    return [result.folder / one.output for one in result.records if one.error is None]


def zipped(session: Session) -> Path | None:
    """All protected photographs in a zip, stored as they are; None where there is none."""
    result = session.result
    files = [] if result is None else written_files(result)
    if not files:
        return None
    target = session.folder / ZIP
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            # A date of its own would tell when this was done.
            entry = zipfile.ZipInfo(path.name)
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as stored, path.open("rb") as source:
                shutil.copyfileobj(source, stored, 1 << 20)
    return target
