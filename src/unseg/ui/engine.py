"""The models behind a page, loaded once, and what they say of one photograph."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg.images.reader import count_pixels, read_photo, rgb_of
from unseg.images.view import model_image
from unseg.masks.find import find_regions
from unseg.masks.sources import MaskSource, load_sources
from unseg.models.clicked import AskedImage
from unseg.models.sam.base import SamBase
from unseg.protect import memory
from unseg.protect.keys import models_of, with_key
from unseg.protect.noises import NoiseSource, load_noises
from unseg.protect.settings import Settings
from unseg.ui.outlines import shown_copy


@dataclass(frozen=True)
class Tools:
    """What protects photographs.

    Args:
        sources: find the foreground, asked in order.
        noises: make the noise, asked in order.
        base: the SAM that clicks ask.
    """

    sources: Sequence[MaskSource]
    noises: Sequence[NoiseSource]
    base: SamBase


@dataclass
class OpenPhoto:
    """What is kept of a photograph that is looked at.

    Args:
        size: (width, height) of the photograph.
        copy: (h, w, 3) uint8, the copy that is shown.
        found: (h, w) bool, what was found, at the size at which the model sees it.
        source: name of the mask source that found it.
        view: (3, h, w) float in [0, 255], the model's view; None once it was asked.
    """

    size: tuple[int, int]
    copy: NDArray[np.uint8]
    found: NDArray[np.bool_]
    source: str
    view: Tensor | None = None
    _asked: AskedImage | None = field(default=None, repr=False)

    def ask(self, base: SamBase, x: int, y: int) -> NDArray[np.bool_]:
        """(h, w) bool: the object at a point, in pixels of the model's view.

        The first question runs the encoder, whose answer is kept.
        """
        if self._asked is None:
            assert self.view is not None
            self._asked, self.view = AskedImage(base, self.view), None
        return self._asked.logits([(float(x), float(y))]).numpy() > 0


class PageModels:
    """The models of a page; they are loaded when they are first asked for.

    Args:
        settings: device, model and key; the rest is chosen on the page.
        folder: of the page, in which no key may lie.

    Raises:
        UnsegError: when the device or a usable key is not there.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = with_key(settings, folder)
        self._models = models_of(self.settings)
        self._lock = threading.Lock()

    @property
    def device(self) -> str:
        """The torch device."""
        return self._models.device

    @property
    def tools(self) -> Tools:
        """The loaded models.

        Raises:
            UnsegError: when one is missing or damaged.
        """
        with self._lock:  # the first two visitors must not load them twice
            return self._loaded

    @cached_property
    def _loaded(self) -> Tools:
        return Tools(
            load_sources(self.settings.find, self._models),
            load_noises(self.settings.noises, self._models),
            self._models.base,
        )

    def open(self, path: Path, name: str) -> OpenPhoto:
        """Read a photograph and find its objects.

        Args:
            path: of the file.
            name: what to call it.

        Raises:
            UnsegError: when it cannot be read, or memory does not hold it.
        """
        memory.refuse_too_large(count_pixels(path), name)
        photo = read_photo(path, name)
        found = find_regions(photo, self.tools.sources, self.settings.rules, name)
        view = model_image(photo)
        mask = found.regions.foreground
        height, width = view.shape[1:]
        if mask.shape != (height, width):
            small = cv2.resize(
                mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
            )
            mask = np.asarray(small) > 0
        return OpenPhoto(photo.size, shown_copy(rgb_of(photo)), mask, found.source, view)
