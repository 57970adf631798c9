"""Small drawn DICOM files; importing this takes pydicom."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from odd_images import pillow


def dicom(array: np.ndarray, *, bits: int = 12, **elements: Any) -> bytes:
    """A DICOM file of grey (H, W) or RGB (H, W, 3) samples, not compressed.

    Args:
        array: uint8, uint16 or int16.
        bits: stored, of 16; of 8 they are 8.
        elements: what else it says, or says otherwise.
    """
    return saved(dataset(array, bits=bits, **elements))


def dataset(array: np.ndarray, *, bits: int = 12, **elements: Any) -> pydicom.Dataset:
    """See :func:`dicom`."""
    width = array.dtype.itemsize * 8
    bits = min(bits, width)
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PatientName = "Drawn^Nobody"
    made.Rows, made.Columns = array.shape[:2]
    colour = array.ndim == 3
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit = width, bits, bits - 1
    made.PixelRepresentation = int(array.dtype.kind == "i")
    made.PixelData = array.tobytes() + bytes(array.nbytes % 2)
    made["PixelData"].VR = "OB" if width == 8 else "OW"
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def saved(made: pydicom.Dataset, **options: Any) -> bytes:
    """A data set's bytes."""
    stream = io.BytesIO()
    made.save_as(stream, **(options or {"enforce_file_format": True}))
    return stream.getvalue()


def run_lengths(array: np.ndarray, **elements: Any) -> bytes:
    """A DICOM file in RLE, which every pydicom reads."""
    made = dataset(array, **elements)
    made.compress(RLELossless, generate_instance_uid=False)
    return saved(made)


def in_frames(array: np.ndarray, kind: str, **elements: Any) -> bytes:
    """A DICOM file whose pixels are a JPEG, or a JPEG 2000 without loss."""
    if kind == "JPEG2000":
        frame = pillow(array, kind, irreversible=False, no_jp2=True)
        return encapsulated(array, JPEG2000Lossless, frame, **elements)
    return encapsulated(array, JPEGBaseline8Bit, pillow(array, kind, quality=95), **elements)


def encapsulated(array: np.ndarray, syntax: str, frame: bytes, **elements: Any) -> bytes:
    """A DICOM file whose pixels are a compressed frame."""
    made = dataset(array, **elements)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return saved(made)
