"""The samples of DICOM files, whatever they are compressed with.

pydicom decodes run lengths, Pillow JPEG and most JPEG 2000, imagecodecs the rest. GDCM, which
pydicom would ask first where it is installed, is never asked: it ends the process on damaged JPEG.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.images.photo import Pixels

#: What pydicom asks, in this order.
_TRUSTED = ("pydicom", "pillow")
#: Function of imagecodecs by transfer syntax (PS3.5, annex A.4).
_CODERS = {
    "1.2.840.10008.1.2.4.50": "jpeg8_decode", "1.2.840.10008.1.2.4.51": "jpeg8_decode",
    "1.2.840.10008.1.2.4.57": "ljpeg_decode", "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode", "1.2.840.10008.1.2.4.81": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode", "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.201": "jpeg2k_decode", "1.2.840.10008.1.2.4.202": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.203": "jpeg2k_decode",
}  # fmt: skip


def check_syntax(found: Any, name: str) -> None:
    """Refuse a compression that nothing at hand decodes.

    Args:
        found: a file's elements.
        name: what to call it in messages.

    Raises:
        UnsegError: naming the compression, and what to install or do.
    """
    syntax = found.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise UnsegError(
            f"{name} has the transfer syntax {str(syntax)!r:.70}, which is not read: save it as "
            "Explicit VR Little Endian"
        )
    if not syntax.is_encapsulated or _plugin(found) is not None:
        return
    if syntax in _CODERS:
        require("dicom", f"{name} is compressed ({syntax.name}), and reading that")
        return
    raise UnsegError(
        f"{name} is compressed ({syntax.name}), which is not read: decompress it first, for "
        "example with gdcmconv --raw"
    )


def pixels_of(found: Any) -> Pixels:
    """(H, W) as they are stored, or (H, W, 3) in RGB.

    Raises:
        Exception: of a library, when the samples are damaged.
    """
    from pydicom.pixels import pixel_array

    if not found.file_meta.TransferSyntaxUID.is_encapsulated:
        return np.asarray(pixel_array(found))
    plugin = _plugin(found)
    if plugin is not None:
        return np.asarray(pixel_array(found, decoding_plugin=plugin))
    return _by_imagecodecs(found)


def _plugin(found: Any) -> str | None:
    """Which of pydicom's decoders to ask; None when it has none that is trusted."""
    from pydicom.pixels import get_decoder

    syntax = found.file_meta.TransferSyntaxUID
    try:
        there = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return None
    several, deep = int(found.SamplesPerPixel) > 1, int(found.BitsStored) > 8
    jpeg = _CODERS.get(syntax) == "jpeg8_decode"
    for plugin in _TRUSTED:
        # Pillow has 8 bits for JPEG and for colours.
        if plugin in there and not (plugin == "pillow" and deep and (jpeg or several)):
            return plugin
    return None


def _by_imagecodecs(found: Any) -> Pixels:
    import imagecodecs
    from pydicom.encaps import generate_frames
    from pydicom.pixels.processing import convert_color_space

    coder = getattr(imagecodecs, _CODERS[found.file_meta.TransferSyntaxUID])
    [frame] = generate_frames(found.PixelData, number_of_frames=1)
    values = np.asarray(coder(frame))
    shape = (int(found.Rows), int(found.Columns), int(found.SamplesPerPixel))
    if values.size != np.prod(shape) or values.dtype.kind not in "ui":
        raise ValueError(f"decoded to {values.dtype} of shape {values.shape}, not {shape}")
    values = values.reshape(shape[:2] if shape[2] == 1 else shape)
    if int(found.PixelRepresentation) == 1 and values.dtype.kind == "u":
        bits = int(found.BitsStored)
        whole = values.astype(np.int32) & ((1 << bits) - 1)
        values = np.where(whole >> (bits - 1), whole - (1 << bits), whole)
    kind = str(found.PhotometricInterpretation)
    if kind in {"YBR_FULL", "YBR_FULL_422"}:
        values = convert_color_space(values.astype(np.uint8), "YBR_FULL", "RGB")
    return values
