"""Colours that are neither grey nor RGB: converted where that is well defined, else refused."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from unseg.errors import UnsegError
from unseg.images.photo import Pixels
from unseg.remarks import Remark


def samples_of(
    image: Image.Image, name: str
) -> tuple[Pixels, Pixels | None, bytes | None, tuple[Remark, ...]]:
    """Colour, alpha and profile of a loaded image of 8 bits, and what is to be known of them.

    Raises:
        UnsegError: when its mode is not one that is read.
    """
    profile = image.info.get("icc_profile") or None
    remarks: tuple[Remark, ...] = ()
    if image.mode == "CMYK":
        image, text = _from_cmyk(image, profile)
        profile, remarks = None, (Remark(text, warning=True),)
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "La":
        image = image.convert("LA")
    elif image.mode in {"RGBa", "RGBX", "YCbCr"}:
        image = image.convert("RGBA" if image.mode == "RGBa" else "RGB")
    elif image.mode in {"L", "RGB"} and image.has_transparency_data:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode in {"L", "RGB"}:
        return np.array(image), None, profile, remarks
    if image.mode in {"LA", "RGBA"}:
        values = np.array(image)
        colour = values[..., 0] if image.mode == "LA" else values[..., :3]
        alpha = np.ascontiguousarray(values[..., -1])
        return np.ascontiguousarray(colour), alpha, profile, remarks
    raise UnsegError(f"{name} {_found(image.mode)}: expected grey or RGB with 8 or 16 bits")


def _found(mode: str) -> str:
    return {
        "LAB": "has CIE Lab colours; convert it to RGB",
        "HSV": "has HSV colours; convert it to RGB",
        "I": "has 32-bit integers; convert it to 16 bits",
        "F": "has floating-point samples; scale them to 16-bit integers",
    }.get(mode, f"is an image of mode {mode}; convert it to RGB")


def _from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """RGB of printing colours: sRGB through their profile, or by the plain formula without one."""
    if profile:
        try:
            made = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"), outputMode="RGB",
            )  # fmt: skip
        except (ImageCms.PyCMSError, OSError):
            made = None
        if made is not None:
            return made, "CMYK was converted to sRGB through the file's own colour profile"
    why = "its colour profile cannot be used" if profile else "it has no colour profile"
    return image.convert("RGB"), f"CMYK was converted to RGB without a profile because {why}"
