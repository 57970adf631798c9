"""Which part of a photograph is protected: the sources are asked in order, once, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.masks.labelmap import LabelMap
from unseg.masks.named import count_objects, count_pieces
from unseg.masks.regions import LabelRules, Regions, regions_of, void_share
from unseg.masks.sources import MaskSource
from unseg.remarks import Remark

#: Shares of an image below and above which a mask's foreground is to be looked at; maps of more
#: labels may well name every pixel.
LITTLE, MUCH, FEW_LABELS = 0.005, 0.85, 6
#: Width of a rim of void at most, in pixels, in images of usual size.
RIM = 15


@dataclass(frozen=True)
class FoundRegions:
    """The regions of a photograph, and where they come from.

    Args:
        regions: foreground and regions, at the photograph's size. Without foreground there is
            nothing to protect, which only an owner's mask can say.
        source: name of the mask source that answered.
        remarks: what an owner should know of the mask.
        file: name of the mask's file, if it has one.
        file_sha256: hex checksum of that file.
        labels: that the regions were made of.
        objects: how many objects are in the foreground, by name; connected pieces, as regions,
            where the source knows no objects.
    """

    regions: Regions
    source: str
    remarks: tuple[Remark, ...] = ()
    file: str | None = None
    file_sha256: str | None = None
    labels: LabelMap | None = None
    objects: dict[str, int] = field(default_factory=dict)

    @property
    def note(self) -> str | None:
        """All remarks in one line, or None."""
        return "; ".join(one.text for one in self.remarks) or None


def find_regions(
    photo: Photo, sources: Sequence[MaskSource], rules: LabelRules, name: str = "the image"
) -> FoundRegions:
    """The foreground and regions of a photograph, from the first source that knows of some.

    An image without foreground: where the owner's mask has none, the image has nothing to protect
    and is left as it is (a negative image of a data set). Where a model finds none, the next
    source is asked, and the last of the usual ones takes the whole image.

    Args:
        photo: pixels as a viewer shows them.
        sources: asked in this order.
        rules: what the labels of the owner's masks mean.
        name: of the image below its input folder, by which masks are found.

    Raises:
        UnsegError: when a mask has another size than the image, or no source knows of a foreground.
    """
    remarks: list[Remark] = []
    for source in sources:
        found = source.find(photo, name)
        if found is None:
            remarks.append(Remark(source.missing(name)))
            continue
        _check_size(found.labels, photo, found.file or "the mask", name)
        own = source.rules(rules)
        regions = regions_of(found.labels, own)
        if not regions.foreground.any() and not source.given:
            remarks.append(Remark(source.nothing))
            continue
        if source.given:
            doubts = [] if source.exact else _remarks(found.labels, own, regions)
            remarks += [*found.labels.remarks, *doubts, *_turned_remarks(photo)]
        return FoundRegions(
            regions,
            source.name,
            tuple(remarks),
            found.file,
            found.file_sha256,
            found.labels,
            found.objects or _counted(found.labels, own, regions),
        )
    known = "; ".join(one.text for one in remarks)
    reasons = known or "no mask was given and there is no source that could find one"
    raise UnsegError(f"{name}: {reasons}: give a mask, or end --find with whole-image")


def _counted(labels: LabelMap, rules: LabelRules, regions: Regions) -> dict[str, int]:
    """Instances where they are told apart, else connected pieces."""
    if rules.target == "instance" and labels.wide:
        return count_objects(labels.values, regions.foreground)
    return count_pieces(regions.foreground)


def _check_size(labels: LabelMap, photo: Photo, mask: str, name: str) -> None:
    if labels.size != photo.size:
        raise UnsegError(
            "{} is {}x{} but {} is {}x{}: masks must have the image's size (EXIF orientation is "
            "applied first)".format(mask, *labels.size, name, *photo.size)
        )


def _turned_remarks(photo: Photo) -> list[Remark]:
    """What to say where a mask's size does not tell on which side up of an image it was drawn."""
    width, height = photo.size
    if photo.turned == 1 or (photo.turned >= 5 and width != height):
        return []
    text = (
        f"the image's EXIF orientation ({photo.turned}) was applied, and its mask has to be of the "
        "turned image, which its size does not tell: look at it"
    )
    return [Remark(text, warning=True)]


def _remarks(labels: LabelMap, rules: LabelRules, regions: Regions) -> list[Remark]:
    """The one check after a mask was read: what it covers, and what it leaves out."""
    share = float(regions.foreground.mean()) if regions.foreground.size else 0.0
    if not share:
        return [
            *_void_remarks(labels, rules, share),
            Remark("the mask has no foreground, so there is nothing to protect"),
        ]
    return [*_void_remarks(labels, rules, share), *_share_remarks(labels, rules, share)]


def _void_remarks(labels: LabelMap, rules: LabelRules, share: float) -> list[Remark]:
    void = void_share(labels, rules)
    void_label = labels.usual_void if rules.void == "auto" else rules.void
    if rules.void == "auto" and rules.background == 0 and rules.classes is None:
        if labels.enclosed == "object":
            text = (
                "255 makes up most of the mask and is enclosed by other labels, so it was taken "
                "for foreground: give --void none if that is right, --void 255 if it is void"
            )
            return [Remark(text, warning=True)]
        if labels.enclosed == "void":
            text = (
                "255 lies inside other labels and was taken for void: give --void none if it is "
                "part of the objects, --void 255 if not"
            )
            return [Remark(text, warning=True)]
    if void > max(0.5, share) or (void > share and _is_area(labels.values == void_label)):
        return [Remark(f"{void:.0%} of the mask is void and counts as background", warning=True)]
    return []


def _is_area(void: NDArray[np.bool_]) -> bool:
    """Whether void is more than rims around objects."""
    side = max(RIM, max(void.shape) // 40)
    inner = cv2.erode(void.astype(np.uint8), np.ones((side, side), np.uint8))
    return bool(10 * np.count_nonzero(inner) > np.count_nonzero(void))


def _share_remarks(labels: LabelMap, rules: LabelRules, share: float) -> list[Remark]:
    """What to say where nearly nothing or nearly everything is foreground."""
    if share < LITTLE:
        text = f"the mask covers less than {LITTLE:.1%} of the image"
        return [Remark(text, warning=True)]
    if rules.classes is not None or rules.background is None:
        return []  # the owner said what is foreground
    if share == 1 or not (labels.values == rules.background).any():
        known = ""
        if not labels.coloured:
            listed = np.unique(labels.values)[:8].tolist()
            known = f" (labels {', '.join(map(str, listed))})"
        text = (
            f"the mask has no background{known}, so the whole image is foreground: paint the "
            "background black, or name the foreground with --classes"
        )
        return [Remark(text, warning=True)]
    if share > MUCH and len(np.unique(labels.values)) <= FEW_LABELS:
        text = (
            f"the mask covers more than {MUCH:.0%} of the image: if it is black on white, invert it"
        )
        return [Remark(text, warning=True)]
    return []
