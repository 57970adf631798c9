"""What an owner leaves out of published files: where a picture was taken, or all that is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from unseg.errors import UnsegError
from unseg.images.exif import without_location
from unseg.images.photo import Photo
from unseg.images.tiff import GEO, TiffTags

#: Tags of a TIFF that say how it is shown or measured, or which samples are none; they tell nothing
#: of who, when and where.
_PLAIN = frozenset({282, 283, 296, 42113})


def stripped(photo: Photo, what: Literal["none", "gps", "all"], name: str) -> Photo:
    """A photo without location, or without EXIF and descriptive tags.

    Args:
        photo: as it was read.
        what: ``none``, ``gps`` (EXIF's GPS part and a TIFF's georeference) or ``all``; colour
            profile and density stay.
        name: what to call the image in messages.

    Raises:
        UnsegError: for DICOM, in which more than this tells of a person.
    """
    if what == "none":
        return photo
    if photo.format == "DICOM":
        raise UnsegError(
            f"{name}: --strip does not know DICOM, in which many elements identify a person: use "
            "software for de-identification"
        )
    container = photo.container
    if isinstance(container, TiffTags):
        tags = {
            number: value
            for number, value in container.tags.items()
            if (number not in GEO if what == "gps" else number in _PLAIN)
        }
        container = replace(container, tags=tags)
    exif = without_location(photo.exif) if what == "gps" else None
    return replace(photo, exif=exif, container=container, location=False)
