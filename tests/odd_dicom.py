"""Small drawn DICOM files; importing this takes pydicom."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def dicom(array: np.ndarray, *, bits: int = 12, **elements: Any) -> bytes:
    """A DICOM file of grey (H, W) or RGB (H, W, 3) samples, not compressed.

    Args:
        array: uint8, uint16 or int16.
        bits: stored, of 16; of 8 they are 8.
        elements: what else it says, or says otherwise.
    """
    stream = io.BytesIO()
    dataset(array, bits=bits, **elements).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


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
