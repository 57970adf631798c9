"""DICOM files: one frame of grey or colour samples in, and out again with everything else kept.

What is written has a SOP instance UID of its own and says that it is derived, as a changed picture
is another instance; bits, byte order and every other element stay. Compressed pixels are written
without compression, and colours as RGB, since a conversion back would round them out of the bound.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.images.dicom_pixels import check_syntax, pixels_of
from unseg.images.photo import Photo, check_size
from unseg.remarks import Remark

_ICON = "IconImageSequence"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class DicomFile:
    """What is needed to write a DICOM file again.

    Args:
        data: the original's bytes.
        inverted: whether low samples are bright (MONOCHROME1).
        scale: slope and intercept of the samples, which may differ within a series.
    """

    data: bytes
    inverted: bool
    scale: tuple[str, str] = ("", "")


def _loaded(data: bytes, name: str) -> Any:
    """The file's elements; those without a preamble, as old software writes them, will do.

    Raises:
        UnsegError: when the extra is missing, or the bytes cannot be read.
    """
    require("dicom", f"{name} is a DICOM file, and reading such", packages=("pydicom",))
    import pydicom

    try:
        found = pydicom.dcmread(io.BytesIO(data), force=data[128:132] != b"DICM")
    except Exception as error:  # pydicom raises whatever damage leads to
        raise UnsegError(f"{name} cannot be read as DICOM ({_text(error)}): copy it again") from (
            error
        )
    if "TransferSyntaxUID" not in found.file_meta:
        explicit, little = not found.original_encoding[0], found.original_encoding[1]
        found.file_meta.TransferSyntaxUID = {
            (False, True): pydicom.uid.ImplicitVRLittleEndian,
            (True, True): pydicom.uid.ExplicitVRLittleEndian,
            (True, False): pydicom.uid.ExplicitVRBigEndian,
        }.get((explicit, bool(little)), pydicom.uid.ImplicitVRLittleEndian)
    return found


def read_dicom(data: bytes, name: str) -> Photo:
    """A photo of a DICOM file; low samples dark, whichever way the file has them.

    The range in use is the first window that the file states, if it states one.

    Raises:
        UnsegError: when it holds what is not supported, naming that.
    """
    found = _loaded(data, name)
    try:
        _check(found, name)
        stored = pixels_of(found)
    except UnsegError:
        raise
    except Exception as error:
        raise UnsegError(f"{name} is damaged or truncated ({_text(error)}): copy it again") from (
            error
        )
    bits, signed = int(found.BitsStored), int(found.PixelRepresentation) == 1
    offset = 1 << (bits - 1) if signed else 0
    top = (1 << bits) - 1
    values = stored.astype(np.int32) + offset
    if values.min() < 0 or values.max() > top:
        raise UnsegError(
            f"{name} has samples outside its {bits} bits: repair it with the software it came from"
        )
    inverted = found.PhotometricInterpretation == "MONOCHROME1"
    nodata = _padding(found, offset, top, inverted)
    window = _window(found, offset, top, inverted) if values.ndim == 2 else None
    scale = (str(found.get("RescaleSlope", "")), str(found.get("RescaleIntercept", "")))
    return Photo(
        (top - values if inverted else values).astype(
            np.uint8 if int(found.BitsAllocated) == 8 else np.uint16
        ),
        format="DICOM",
        full=(0, top),
        range=window,
        offset=0 if inverted else offset,
        mirror=top - offset if inverted else None,
        nodata=nodata,
        container=DicomFile(data, inverted, scale),
        remarks=tuple(_remarks(found)),
        dropped=("the icon, a small copy of the picture",) if _ICON in found else (),
    )


def _check(found: Any, name: str) -> None:
    """Refuse what is not one frame of whole samples, or cannot be decoded."""
    if "PixelData" not in found:
        what = "floating-point pixels" if "FloatPixelData" in found else "no pixels"
        raise UnsegError(f"{name} is a DICOM file with {what}: leave it out")
    check_syntax(found, name)
    frames = int(found.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnsegError(
            f"{name} holds {frames} frames: expected one; save each as its own file, for example "
            "with emf2sf of dcm4che"
        )
    kind, samples = str(found.get("PhotometricInterpretation", "")), int(found.SamplesPerPixel)
    if kind not in (_GREY if samples == 1 else _COLOUR):
        raise UnsegError(
            f"{name} has {kind} pixels of {samples} samples: expected MONOCHROME1, MONOCHROME2, "
            "RGB or YBR_FULL; convert it to one of these"
        )
    bits, allocated = int(found.get("BitsStored", 0)), int(found.get("BitsAllocated", 0))
    if allocated not in {8, 16} or not 8 <= bits <= allocated:
        raise UnsegError(
            f"{name} has {bits} of {allocated} bits: expected 8 to 16 bits, stored in 8 or 16"
        )
    if kind in ("YBR_FULL", "YBR_FULL_422") and (bits != 8 or int(found.PixelRepresentation)):
        raise UnsegError(f"{name} has {kind} pixels of {bits} bits: convert it to RGB")
    if int(found.get("HighBit", bits - 1)) != bits - 1:
        raise UnsegError(f"{name} has its samples in the high bits: save them in the low ones")
    check_size(int(found.Columns), int(found.Rows), name)


def _remarks(found: Any) -> list[Remark]:
    syntax, kind = found.file_meta.TransferSyntaxUID, found.PhotometricInterpretation
    remarks = []
    if syntax.is_encapsulated:
        text = f"its pixels were compressed ({syntax.name}) and are written without compression"
        remarks.append(Remark(text))
    if int(found.SamplesPerPixel) == 3 and kind != "RGB":
        remarks.append(Remark(f"its colours were {kind} and are written as RGB"))
    return remarks


def _padding(found: Any, offset: int, top: int, inverted: bool) -> tuple[int, int] | None:
    """Lowest and highest sample of a photo that stands for no data; None when there is none."""
    value = found.get("PixelPaddingValue")
    limit = found.get("PixelPaddingRangeLimit", value)
    if not isinstance(value, int) or not isinstance(limit, int):
        return None
    # Negative numbers are at times written as if they had no sign.
    ends = sorted((one - 65536 if offset and one > top - offset else one) for one in (value, limit))
    low, high = (end + offset for end in ends)
    return (top - high, top - low) if inverted else (low, high)


def _window(found: Any, offset: int, top: int, inverted: bool) -> tuple[int, int] | None:
    """The first window in samples of a photo; None when there is none that can be used."""
    if "ModalityLUTSequence" in found:  # the window is of what the table makes of the samples
        return None
    try:
        centre, width = (_first(found.get(n)) for n in ("WindowCenter", "WindowWidth"))
        slope = _first(found.get("RescaleSlope", 1))
        intercept = _first(found.get("RescaleIntercept", 0))
        # PS3.3, C.11.2.1.2: centre - 0.5 is the middle of what is shown, width - 1 its extent.
        ends = sorted(
            (centre - 0.5 + side * (width - 1) / 2 - intercept) / slope + offset for side in (-1, 1)
        )
        low, high = (min(max(round(end), 0), top) for end in ends)
    except (TypeError, ValueError, ArithmeticError, IndexError):
        return None
    if high - low < 2:
        return None
    return (top - high, top - low) if inverted else (low, high)


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _text(error: Exception) -> str:
    """The first line of what a library says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def encode_dicom(photo: Photo, name: str) -> bytes:
    """The original file with a photo's samples and a new SOP instance UID.

    Raises:
        UnsegError: when the photo did not come from a DICOM file.
    """
    kept = photo.container
    if not isinstance(kept, DicomFile):
        raise UnsegError(f"{name} is not a DICOM file, so none can be written: use --format png")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a value that its kind does not allow
            return _written(photo, _loaded(kept.data, name), inverted=kept.inverted)
    except UnsegError:
        raise
    except Exception as error:  # an element that cannot be read or written, whatever it is
        raise UnsegError(
            f"{name} cannot be written as DICOM ({_text(error)}): repair it with the software it "
            "came from"
        ) from error


def _written(photo: Photo, found: Any, *, inverted: bool) -> bytes:
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    if found.file_meta.TransferSyntaxUID.is_encapsulated:
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        found["PixelData"].is_undefined_length = False
        found["PixelData"].VR = "OB" if photo.bits == 8 else "OW"
        for table in (0x7FE00001, 0x7FE00002):  # of where compressed frames begin
            found.pop(table, None)
        if not photo.grey:
            found.PlanarConfiguration = 0
    found.PixelData = _raw(photo, found, inverted=inverted)
    if not photo.grey:
        found.PhotometricInterpretation = "RGB"
    said = found.get("ImageType") or []
    rest = list(said)[1:] if not isinstance(said, str) else []
    found.ImageType = ["DERIVED", *(rest or ["SECONDARY"])]
    found.SOPInstanceUID = generate_uid()
    if _ICON in found:
        del found[_ICON]
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    if "MediaStorageSOPClassUID" not in found.file_meta and "SOPClassUID" in found:
        found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    stream = io.BytesIO()
    found.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _raw(photo: Photo, found: Any, *, inverted: bool) -> bytes:
    """A photo's samples as the file stores them."""
    bits, signed = int(found.BitsStored), int(found.PixelRepresentation) == 1
    values = photo.pixels.astype(np.int32)
    values = photo.whole[1] - values if inverted else values
    values -= (1 << (bits - 1)) if signed else 0
    if not photo.grey and int(found.get("PlanarConfiguration") or 0) == 1:
        values = values.transpose(2, 0, 1)
    order = "<" if found.file_meta.TransferSyntaxUID.is_little_endian else ">"
    raw = values.astype(f"{order}{'i' if signed else 'u'}{int(found.BitsAllocated) // 8}").tobytes()
    return raw + bytes(len(raw) % 2)
