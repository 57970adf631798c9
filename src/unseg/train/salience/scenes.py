"""Scenes with a known foreground: cut-outs alone, side by side, and pasted into other pictures.

The people of a corpus of cut-outs are foreground, what surrounds them is background, and nothing
is known about pictures of the other corpora ("scenery"), except where something was pasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.models.geometry import PIXEL_MEAN
from unseg.train.corpus import CorpusEntry, load

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
"""Values of a scene's truth."""

DECOYS = 0.4
"""Share of what is pasted that is a piece of any picture in a cut-out's shape, with its own
truth: an edge of pasting must not tell what is foreground."""


@dataclass(frozen=True)
class Scene:
    """A square picture.

    Args:
        image: (S, S, 3) uint8, RGB.
        truth: (S, S) uint8: ``BACKGROUND``, ``UNKNOWN`` or ``FOREGROUND``.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]


class SceneMaker:
    """Draws scenes.

    Args:
        cutouts: pictures whose ground truth tells foreground from background.
        scenery: pictures without such a truth; may be empty.
        size: side of a scene, in pixels.
        seed: a scene follows from it and the scene's number alone.
    """

    def __init__(
        self,
        cutouts: Sequence[CorpusEntry],
        scenery: Sequence[CorpusEntry],
        size: int,
        seed: int,
    ) -> None:
        self._cutouts, self._scenery = cutouts, scenery
        self._size, self._seed = size, seed

    def draw(self, number: int) -> Scene:
        """The scene of a number, 0 and up."""
        rng = np.random.default_rng([self._seed, number])
        kind = rng.random()
        if kind < 0.25:
            scene = self._alone(rng)
        elif kind < 0.6:
            scene = self._side_by_side(rng)
        else:
            scene = self._pasted(rng)
        return replace(scene, image=_recoloured(scene.image, rng))

    def whole(self, number: int) -> Scene:
        """A cut-out's whole picture as it is, for validation."""
        scene = self._empty()
        picture = self._read(self._cutouts[number % len(self._cutouts)], known=True)
        _place(scene, _scaled(picture, self._size / max(picture.truth.shape)), 0, 0)
        return scene

    def _empty(self) -> Scene:
        # Around a picture is the mean colour, of which nothing is learned: unlike a letterbox's
        # padding, it has an upright edge on every side.
        image = np.empty((self._size, self._size, 3), np.uint8)
        image[:] = PIXEL_MEAN
        return Scene(image, np.full(image.shape[:2], UNKNOWN, np.uint8))

    def _alone(self, rng: np.random.Generator) -> Scene:
        scene, picture = self._empty(), self._any(rng, 0.3)
        factor = self._size * rng.uniform(0.8, 1.6) / max(picture.truth.shape)
        picture = _scaled(picture, factor)
        top, left = (
            int(rng.integers(min(0, self._size - side), max(0, self._size - side) + 1))
            for side in picture.truth.shape
        )
        _place(scene, picture, top, left)
        return scene

    def _side_by_side(self, rng: np.random.Generator) -> Scene:
        scene, count = self._empty(), int(rng.integers(2, 4))
        side = -(-self._size // count)
        for row in range(count):
            for column in range(count):
                part = _square(self._any(rng, 0.4), side, 1.5, rng)
                _place(scene, part, row * side, column * side)
        return scene

    def _pasted(self, rng: np.random.Generator) -> Scene:
        scene = _square(self._any(rng, 0.7), self._size, 1.6, rng)
        for _ in range(int(rng.integers(1, 6))):
            cutout = self._cutout(rng)
            height = self._size * float(np.exp(rng.uniform(np.log(0.25), np.log(1.1))))
            cutout = _scaled(cutout, height / cutout.truth.shape[0])
            rows, columns = cutout.truth.shape
            top = int(rng.integers(-rows // 4, max(self._size - rows * 3 // 4, 1)))
            left = int(rng.integers(-columns // 2, self._size - columns // 2))
            shape = cutout.truth == FOREGROUND
            if rng.random() < DECOYS:
                other = _square(self._any(rng, 0.4), max(rows, columns), 1.6, rng)
                cutout = Scene(other.image[:rows, :columns], other.truth[:rows, :columns])
            _place(scene, cutout, top, left, shape)
        return scene

    def _any(self, rng: np.random.Generator, scenery: float) -> Scene:
        if len(self._scenery) and rng.random() < scenery:
            entry = self._scenery[int(rng.integers(len(self._scenery)))]
            return _mirrored(self._read(entry, known=False), rng)
        return self._cutout(rng)

    def _cutout(self, rng: np.random.Generator) -> Scene:
        entry = self._cutouts[int(rng.integers(len(self._cutouts)))]
        return _mirrored(self._read(entry, known=True), rng)

    def _read(self, entry: CorpusEntry, *, known: bool) -> Scene:
        picture = load(entry, 2 * self._size)
        truth = np.where(picture.regions.numpy() > 0, FOREGROUND, BACKGROUND)
        image = np.ascontiguousarray(picture.image.permute(1, 2, 0).numpy())
        return Scene(image, (truth if known else np.full_like(truth, UNKNOWN)).astype(np.uint8))


def _recoloured(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One in ten grey, four in ten brighter, darker or tinted."""
    if rng.random() < 0.4:
        factor = rng.uniform(0.6, 1.4, 3 if rng.random() < 0.5 else 1)
        image = np.clip(image * factor, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return image


def _mirrored(scene: Scene, rng: np.random.Generator) -> Scene:
    if rng.random() < 0.5:
        return scene
    return Scene(
        np.ascontiguousarray(scene.image[:, ::-1]), np.ascontiguousarray(scene.truth[:, ::-1])
    )


def _scaled(scene: Scene, factor: float) -> Scene:
    rows, columns = (max(1, round(side * factor)) for side in scene.truth.shape)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(scene.image, (columns, rows), interpolation=method)
    truth = cv2.resize(scene.truth, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return Scene(np.asarray(image, np.uint8), np.asarray(truth, np.uint8))


def _square(scene: Scene, side: int, largest: float, rng: np.random.Generator) -> Scene:
    """A random square of a picture whose short side is 1 to ``largest`` times that square's."""
    scene = _scaled(scene, side * rng.uniform(1, largest) / min(scene.truth.shape))
    top, left = (int(rng.integers(max(length - side, 0) + 1)) for length in scene.truth.shape)
    rows, columns = slice(top, top + side), slice(left, left + side)
    return Scene(scene.image[rows, columns].copy(), scene.truth[rows, columns].copy())


def _place(
    scene: Scene, part: Scene, top: int, left: int, shape: NDArray[np.bool_] | None = None
) -> None:
    """Put a picture, or what of it lies in a shape of its size with a soft edge, into a scene."""
    rows, columns = (
        slice(max(start, 0), min(start + length, side))
        for start, length, side in zip(
            (top, left), part.truth.shape, scene.truth.shape, strict=True
        )
    )
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    own = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    image, truth = part.image[own], part.truth[own]
    if shape is None:
        scene.image[rows, columns], scene.truth[rows, columns] = image, truth
        return
    soft = cv2.GaussianBlur(shape[own].astype(np.float32), (3, 3), 0)[..., None]
    below = scene.image[rows, columns]
    scene.image[rows, columns] = (below * (1 - soft) + image * soft).astype(np.uint8)
    inside = soft[..., 0] > 0.5
    scene.truth[rows, columns][inside] = truth[inside]
