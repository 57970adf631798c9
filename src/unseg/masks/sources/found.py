"""What is found by name, without labels: people, other objects, and all that stands out besides."""

from __future__ import annotations

from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.labelmap import LabelMap
from unseg.masks.named import REGION, count_names, count_pieces
from unseg.masks.sources.base import Found, MaskSource
from unseg.models.finder.detector import Detector
from unseg.models.finder.objects import find_objects
from unseg.models.finder.people import FoundObjects, find_people
from unseg.models.finder.selfie import SelfieModel
from unseg.models.finder.weights import load_finder
from unseg.models.loaded import Models
from unseg.models.salience import SalienceHead, salient_mask
from unseg.models.sam.base import SamBase

#: Share of a piece that stands out above which what was found in it is all that it is.
_KNOWN = 0.3


class PeopleMask(MaskSource):
    """People (:mod:`unseg.models.finder.people`).

    Args:
        detector: proposes boxes.
        selfie: says which of their pixels are a person's.
        base: the SAM that draws outlines of other objects.
        sha256: checksum of the two networks' file.
    """

    name = "people"
    summary = "people, one by one, found by a detector and a person model"
    nothing = "no people were found"

    def __init__(
        self, detector: Detector, selfie: SelfieModel, base: SamBase, sha256: str = ""
    ) -> None:
        self.detector, self.selfie, self.base, self.sha256 = detector, selfie, base, sha256

    @classmethod
    def load(cls, models: Models) -> Self | None:
        detector, selfie, sha256 = load_finder(models.device)
        return cls(detector, selfie, models.base, sha256)

    def find(self, photo: Photo, name: str) -> Found | None:
        return _found(self.instances(photo), photo)

    def instances(self, photo: Photo) -> FoundObjects:
        """What is found, at the size that the models are shown."""
        return find_people(self.detector, self.selfie, model_image(photo))

    def identity(self, name: str) -> str:
        return f"{self.name} {self.sha256}"


class ObjectMask(PeopleMask):
    """People and the other objects that the detector knows."""

    name = "objects"
    summary = "people, animals, vehicles, furniture and small things that a detector knows"
    nothing = "no objects were found"

    def instances(self, photo: Photo) -> FoundObjects:
        image = model_image(photo)
        people = super().instances(photo)
        return find_objects(self.detector, self.base, image, people)


class AllMask(MaskSource):
    """Objects, and what stands out besides.

    Args:
        objects: finds what has a name.
        head: finds what stands out; None adds nothing.
    """

    name = "all"
    summary = "objects, and whatever else stands out"
    nothing = "nothing was found and nothing stands out"

    def __init__(self, objects: ObjectMask, head: SalienceHead | None) -> None:
        self.objects, self.head = objects, head

    @classmethod
    def load(cls, models: Models) -> Self | None:
        objects = ObjectMask.load(models)
        return None if objects is None else cls(objects, models.salience_head)

    def find(self, photo: Photo, name: str) -> Found | None:
        objects = self.objects.instances(photo)
        if self.head is None:
            return _found(objects, photo)
        mask, _ = salient_mask(self.objects.base, self.head, model_image(photo))
        named = objects.numbers.cpu().numpy()
        return _found(objects, photo, _unnamed(mask.cpu().numpy(), named > 0))

    def identity(self, name: str) -> str:
        head = "" if self.head is None else self.head.sha256
        return f"{self.name} {self.objects.sha256} {head}"


def _found(
    objects: FoundObjects, photo: Photo, besides: NDArray[np.bool_] | None = None
) -> Found | None:
    """One foreground of all that was found, and how many there are of each name."""
    numbers = objects.numbers.cpu().numpy()
    mask = numbers > 0
    left = {int(number) for number in np.unique(numbers)}
    names = dict(enumerate(objects.names, 1))
    counts = count_names([number for number in names if number in left], names)
    if besides is not None and besides.any():
        counts[REGION] = count_pieces(besides).get(REGION, 1)
        mask = mask | besides
    if not mask.any():
        return None
    return Found(LabelMap(at_photo_size(mask.view(np.uint8), photo)), objects=counts)


def _unnamed(salient: NDArray[np.bool_], named: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) bool: the pieces that stand out and in which hardly anything was found."""
    count, pieces = cv2.connectedComponents(salient.astype(np.uint8))
    area = np.bincount(pieces.ravel(), minlength=count)
    known = np.bincount(pieces.ravel(), named.ravel(), minlength=count)
    kept = known <= _KNOWN * area
    kept[0] = False
    return kept[pieces] & ~named
