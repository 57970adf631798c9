"""DICOM files: one frame of grey samples in, and out again with everything else kept.

What is written has a SOP instance UID of its own, as a changed picture is another instance; where
the samples lie in the file, how many bits they have and every other element stay.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.images.photo import Photo

#: Largest image, in pixels, as everywhere.
_MAX_PIXELS = 64_000_000
_ICON = "IconImageSequence"


@dataclass(frozen=True)
class DicomFile:
    """What is needed to write a DICOM file again.

    Args:
        data: the original's bytes.
        inverted: whether low samples are bright (MONOCHROME1).
    """

    data: bytes
    inverted: bool


def _loaded(data: bytes, name: str) -> Any:
    """The file's elements.

    Raises:
        UnsegError: when the extra is missing, or the bytes cannot be read.
    """
    require("dicom", f"{name} is a DICOM file, and reading such")
    import pydicom

    try:
        return pydicom.dcmread(io.BytesIO(data))
    except Exception as error:  # pydicom raises whatever damage leads to
        raise UnsegError(f"{name} cannot be read as DICOM ({error}): copy it again") from error


def read_dicom(data: bytes, name: str) -> Photo:
    """A photo of a DICOM file; low samples dark, whichever way the file has them.

    The range in use is the first window that the file states, if it states one.

    Raises:
        UnsegError: when it holds what is not supported, naming that.
    """
    found = _loaded(data, name)
    _check(found, name)
    try:
        stored = np.asarray(found.pixel_array)
    except Exception as error:
        raise UnsegError(f"{name} is damaged or truncated ({error}): copy it again") from error
    bits, signed = int(found.BitsStored), int(found.PixelRepresentation) == 1
    offset = 1 << (bits - 1) if signed else 0
    top = (1 << bits) - 1
    values = stored.astype(np.int32) + offset
    if values.min() < 0 or values.max() > top:
        raise UnsegError(
            f"{name} has samples outside its {bits} bits: repair it with the software it came from"
        )
    inverted = found.PhotometricInterpretation == "MONOCHROME1"
    padding = _whole(found, "PixelPaddingValue")
    nodata = None if padding is None else padding + offset
    if inverted:
        values = top - values
        nodata = None if nodata is None else top - nodata
    window = _window(found, offset, top, inverted)
    return Photo(
        values.astype(np.uint8 if int(found.BitsAllocated) == 8 else np.uint16),
        format="DICOM",
        full=(0, top),
        range=window,
        offset=0 if inverted else offset,
        nodata=nodata,
        container=DicomFile(data, inverted),
        dropped=("the icon, a small copy of the picture",) if _ICON in found else (),
    )


def _check(found: Any, name: str) -> None:
    """Refuse what is not one uncompressed frame of grey samples."""
    if "PixelData" not in found:
        raise UnsegError(f"{name} is a DICOM file without pixels: leave it out")
    syntax = found.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and not syntax.is_deflated:
        raise UnsegError(
            f"{name} is compressed ({syntax.name}): decompress it first, for example with "
            "pydicom decompress or gdcmconv --raw"
        )
    frames = int(found.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnsegError(f"{name} holds {frames} frames: expected one; save each as its own file")
    kind = str(found.get("PhotometricInterpretation", ""))
    if kind not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnsegError(f"{name} has {kind} pixels: expected MONOCHROME1 or MONOCHROME2")
    bits, allocated = int(found.get("BitsStored", 0)), int(found.get("BitsAllocated", 0))
    if allocated not in {8, 16} or not 8 <= bits <= allocated:
        raise UnsegError(
            f"{name} has {bits} of {allocated} bits: expected 8 to 16 bits, stored in 8 or 16"
        )
    if int(found.get("HighBit", bits - 1)) != bits - 1:
        raise UnsegError(f"{name} has its samples in the high bits: save them in the low ones")
    if int(found.Rows) * int(found.Columns) > _MAX_PIXELS:
        raise UnsegError(f"{name} has more than 64 megapixels: make it smaller")


def _whole(found: Any, element: str) -> int | None:
    value = found.get(element)
    return int(value) if isinstance(value, int) else None


def _window(found: Any, offset: int, top: int, inverted: bool) -> tuple[int, int] | None:
    """The first window in samples of a photo; None when there is none that can be used."""
    try:
        centre, width = (_first(found.get(n)) for n in ("WindowCenter", "WindowWidth"))
        slope = _first(found.get("RescaleSlope", 1))
        intercept = _first(found.get("RescaleIntercept", 0))
        # PS3.3, C.11.2.1.2: centre - 0.5 is the middle of what is shown, width - 1 its extent.
        ends = sorted(
            (centre - 0.5 + side * (width - 1) / 2 - intercept) / slope + offset for side in (-1, 1)
        )
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    low, high = (min(max(round(end), 0), top) for end in ends)
    if high - low < 2:
        return None
    return (top - high, top - low) if inverted else (low, high)


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def encode_dicom(photo: Photo, name: str) -> bytes:
    """The original file with a photo's samples and a new SOP instance UID.

    Raises:
        UnsegError: when the photo did not come from a DICOM file.
    """
    kept = photo.container
    if not isinstance(kept, DicomFile):
        raise UnsegError(f"{name} is not a DICOM file, so none can be written: use --format png")
    from pydicom.uid import generate_uid

    found = _loaded(kept.data, name)
    top = photo.whole[1]
    bits, signed = int(found.BitsStored), int(found.PixelRepresentation) == 1
    values = photo.pixels.astype(np.int32)
    values = (top - values if kept.inverted else values) - ((1 << (bits - 1)) if signed else 0)
    order = "<" if found.original_encoding[1] else ">"
    width = int(found.BitsAllocated) // 8
    raw = values.astype(f"{order}{'i' if signed else 'u'}{width}").tobytes()
    found.PixelData = raw + bytes(len(raw) % 2)
    found.SOPInstanceUID = generate_uid()
    if _ICON in found:
        del found[_ICON]
    if "MediaStorageSOPInstanceUID" in found.file_meta:
        found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    stream = io.BytesIO()
    found.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
