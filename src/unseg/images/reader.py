"""Image files to pixels, as a viewer shows them."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.files import read_bytes
from unseg.images import png
from unseg.images.colour import samples_of
from unseg.images.exif import carried_exif, dropped_exif, has_location
from unseg.images.formats import FORMATS, HEAD, IMAGE_SUFFIXES, format_named, format_within
from unseg.images.photo import MAX_PIXELS, Photo, Pixels, check_size, turn
from unseg.images.ranges import RangeChoice, with_range
from unseg.images.tiff import stand_in
from unseg.images.tiff_bands import grey_of_16_bits, read_bands, split_bands, with_tags
from unseg.images.tiff_reader import TiffLayout, read_layout
from unseg.remarks import Remark

# They tell nobody's terminal of what is told as an error, or read by another reader.
for _library in ("PIL", "tifffile", "pydicom"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


def count_pixels(path: Path) -> int:
    """Pixels of an image by its header; 0 when it has none that can be read."""
    if not path.is_file():
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.size[0] * image.size[1]
    except Exception:  # reading it will say why
        return 0


def has_8_bits(path: Path) -> bool:
    """Whether an image surely has no more than 8 bits a sample, by its header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                tags = getattr(image, "tag_v2", None)
                return tags is not None and max(tags.get(258, (16,))) <= 8
    except Exception:  # reading it will say why
        return False


def read_photo(path: Path, name: str | None = None, choice: RangeChoice = "auto") -> Photo:
    """Read an image file; see :func:`decode`.

    Args:
        path: of the file.
        name: what to call it in messages; the path if None.
        choice: which range of 16-bit samples is in use.
    """
    name = name or str(path)
    return decode(read_bytes(path, name), name, choice)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a photograph as models are shown it: RGB of 8 bits, EXIF orientation applied.

    Protecting, training and evaluating read through this module, so that all see one image.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UnsegError: when the file is missing or no image that is read.
    """
    return rgb_of(read_photo(path))


def rgb_of(photo: Photo) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: grey becomes three equal channels; of 16 bits, the range in use is shown."""
    pixels = photo.pixels
    if photo.bits == 16:
        above = np.maximum(pixels.astype(np.int32) - photo.low, 0) + photo.step // 2
        pixels = np.minimum(above // photo.step, 255).astype(np.uint8)
    return np.stack([pixels] * 3, axis=2) if photo.grey else pixels


def decode(data: bytes, name: str, choice: RangeChoice = "auto") -> Photo:
    """Decode an image file.

    Args:
        data: the file's bytes, which say what kind of file it is, whatever it is called.
        name: what to call the file in messages.
        choice: which range of 16-bit samples is in use; see :func:`unseg.images.ranges.with_range`.

    Returns:
        Pixels turned as the EXIF orientation says, and what is to be carried over.

    Raises:
        UnsegError: when the bytes are no image, are damaged or hold what is not supported.
    """
    kind = format_within(data[:HEAD])
    if kind is not None and not kind.read:
        raise UnsegError(
            f"{name} is of a kind that is not read ({kind.name}): expected "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}; convert it to PNG or JPEG"
        )
    try:
        if kind is FORMATS["HEIF"]:
            _prepare_heif(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is told below; sizes are checked, too
            # Old software writes DICOM without the preamble that tells: there the name does.
            if kind is FORMATS["DICOM"] or (
                kind is None and format_named(name) is FORMATS["DICOM"]
            ):
                from unseg.images.dicom import read_dicom

                return with_range(read_dicom(data, name), choice, name)
            return with_range(_decoded(data, name), choice, name)
    except UnsegError:
        raise
    except Image.DecompressionBombError as error:
        raise UnsegError(
            f"{name} claims to have more than {MAX_PIXELS // 1_000_000} megapixels: make it smaller"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise UnsegError(_unidentified(data, name)) from error
    except Exception as error:  # Pillow raises whatever its plugins meet in a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        found = png.damage(data) if data.startswith(png.SIGNATURE) else None
        raise UnsegError(
            f"{name} is damaged or truncated ({found or reason}): expected a complete image; copy "
            "it again"
        ) from error


def _decoded(data: bytes, name: str) -> Photo:
    layout = None
    if format_within(data[:HEAD]) is FORMATS["TIFF"]:
        layout = read_layout(data, name)
    if layout is not None and not layout.by_pillow:
        return _opened(stand_in(data), data, name, layout)
    try:
        return _opened(data, data, name, layout)
    except ValueError as error:
        # Pillow limits text and profiles to a million bytes; programs write more.
        if not data.startswith(png.SIGNATURE) or "too large" not in str(error):
            raise
        return _opened(png.without(data, png.TEXT | {png.PROFILE}), data, name, layout)


def _opened(shown: bytes, data: bytes, name: str, layout: TiffLayout | None) -> Photo:
    """A photo of a file's bytes.

    Args:
        shown: the bytes that Pillow is shown, ``data`` or what it can read of it.
        data: all bytes.
        name: what to call the file in messages.
        layout: of a TIFF.
    """
    with Image.open(io.BytesIO(shown)) as image:
        check_image(image, name)
        xmp = any(key in image.info for key in ("xmp", "XML:com.adobe.xmp"))
        if layout is not None:
            image.info.pop("xmp", None)  # Pillow turns a TIFF as it says, viewers do not
        comment = image.info.get("comment")
        if not _is_wide_png(data) and (layout is None or layout.by_pillow):
            image.load()
        photo = photo_of(image, name, data, layout)
        left = [*photo.dropped, *png.dropped(data), *dropped_exif(image)]
        left += ["XMP"] * xmp + ["a comment"] * bool(comment)
        left += ["Photoshop's or IPTC data"] * ("photoshop" in image.info)
        if image.format == "JPEG" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
            left.append("data behind the picture")
        if layout is None:
            left += ["further pictures in the file"] * (getattr(image, "n_frames", 1) > 1)
        return replace(photo, dropped=tuple(dict.fromkeys(left)))


def _unidentified(data: bytes, name: str) -> str:
    """Why bytes are not taken for an image."""
    found = png.damage(data) if data.startswith(png.SIGNATURE) else None
    if found is not None:
        return f"{name} is damaged: {found}; expected a complete image; copy it again"
    kind = format_within(data[:HEAD])
    if kind is not None and kind.name == "AVIF":
        return f"{name} is an AVIF file, which this Pillow does not read: pip install -U pillow"
    if kind is not None:
        return (
            f"{name} begins as a {kind.name} file but cannot be read: it is damaged or of a rare "
            "kind; expected a complete image; copy it again or convert it to PNG"
        )
    return (
        f"{name} is not an image that can be read (it begins with {data[:8]!r}): expected "
        "JPEG, PNG, WebP, BMP, TIFF, GIF or PPM; remove it or convert it"
    )


def _prepare_heif(name: str) -> None:
    """Teach Pillow HEIF.

    Raises:
        UnsegError: when the extra is not installed.
    """
    require("heif", f"{name} is a HEIF file, and reading such")
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def photo_of(
    image: Image.Image,
    name: str = "the image",
    data: bytes = b"",
    layout: TiffLayout | None = None,
) -> Photo:
    """Pixels and metadata of a loaded Pillow image.

    Args:
        image: mode 1, L, LA, P, PA, RGB, RGBA, CMYK or 16-bit grey.
        name: what to call it in messages.
        data: the file's bytes, from which is decoded what Pillow would cut to 8 bits.
        layout: of a TIFF.

    Raises:
        UnsegError: when the mode is another.
    """
    exif, orientation = carried_exif(image)
    profile = image.info.get("icc_profile") or png.profile(data)
    remarks = () if layout is None else layout.remarks
    alpha: Pixels | None = None
    further: Pixels | None = None
    if _is_wide_png(data):
        pixels, alpha = _decode_16_bit(data, image, name)
    elif layout is not None and not layout.by_pillow:
        pixels, alpha, further = split_bands(read_bands(data, layout, name), layout)
        orientation = layout.orientation
    elif layout is not None and layout.bits > 8:
        pixels = grey_of_16_bits(image, layout)
    elif image.mode in {"I;16", "I;16B", "I;16L", "I;16N"}:
        pixels = np.asarray(image).astype(np.uint16)
    else:
        pixels, alpha, profile, said = samples_of(image, name)
        profile = profile or (None if said else png.profile(data))
        remarks = (*remarks, *said)
    if image.format in {"AVIF", "HEIF"} and (bits := _coded_bits(data)) > 8:
        remarks = (*remarks, Remark(f"its samples of {bits} bits were read as 8"))
    dpi = _density(image, orientation)
    chunks = [chunk for chunk in png.chunks(data) if chunk[0] in png.VIEWING]
    photo = Photo(
        turn(pixels, orientation),
        None if alpha is None else turn(alpha, orientation),
        "JPEG" if image.format == "MPO" else image.format or "PNG",
        profile,
        exif,
        [png.turned(chunk) for chunk in chunks] if orientation >= 5 else chunks,
        remarks,
        dpi=dpi,
        bands=None if further is None else turn(further, orientation),
        location=has_location(exif),
        # The reader of HEIF turns pictures itself, and tells.
        turned=int(image.info.get("original_orientation") or orientation),
    )
    return photo if layout is None else with_tags(photo, layout)


def _coded_bits(data: bytes) -> int:
    """Bits of a sample of the first picture in a HEIF or AVIF file; 8 where it does not say."""
    at = data.find(b"hvcC")  # ISO/IEC 14496-15, 8.3.3.1
    if 0 <= at < len(data) - 21:
        return 8 + (data[at + 21] & 7)
    at = data.find(b"av1C")  # AV1 in ISOBMFF, 2.3
    if 0 <= at < len(data) - 6:
        return 8 + 2 * (data[at + 6] >> 6 & 1) + 2 * (data[at + 6] >> 5 & 1)
    return 8


def _density(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Pixels an inch as they are after turning; None when the file does not say."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 < across < 1e6 and 1 < down < 1e6):
        return None
    return (down, across) if orientation >= 5 else (across, down)


def check_image(image: Image.Image, name: str) -> None:
    """Refuse what is too large, moves, or has samples that cannot be read in full.

    Raises:
        UnsegError: naming the cause.
    """
    check_size(*image.size, name)
    # Of a TIFF the tags tell which pages are pictures of their own.
    frames = 1 if image.format in {"MPO", "TIFF", "HEIF"} else getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnsegError(
            f"{name} holds {frames} frames: expected a still image; save each frame as its own file"
        )
    if image.format == "PPM" and (image.mode == "I" or _ppm_maximum(image) > 255):
        raise UnsegError(f"{name} is a PPM with more than 8 bits: convert it to a 16-bit PNG")


def _ppm_maximum(image: Image.Image) -> int:
    """Largest sample value of a PPM's header where Pillow rescales to 255; else 255."""
    arguments = [part for tile in getattr(image, "tile", ()) for part in np.atleast_1d(tile[3])]
    return max((int(one) for one in arguments if str(one).isdecimal()), default=255)


def _is_wide_png(data: bytes) -> bool:
    return data.startswith(png.SIGNATURE) and png.header(data)[0] == 16


def _decode_16_bit(data: bytes, image: Image.Image, name: str) -> tuple[Pixels, Pixels | None]:
    """Samples of a 16-bit PNG, which Pillow would cut to 8 bits.

    OpenCV fills what is missing from a cut off file, so the chunks are checked first.
    """
    problem = png.damage(data)
    if problem is not None:
        raise UnsegError(
            f"{name} is damaged or truncated ({problem}): expected a complete image; copy it again"
        )
    if "transparency" in image.info:
        raise UnsegError(
            f"{name} is a 16-bit PNG with a transparent colour: give it an alpha channel instead"
        )
    plain = png.without(data, png.TEXT | {png.PROFILE, b"eXIf"})
    values = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UnsegError(f"{name} is a damaged 16-bit PNG: write it again")
    samples = np.asarray(values, np.uint16)
    if samples.ndim == 2:
        return samples, None
    alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
    if png.header(data)[1] == 4:
        return np.ascontiguousarray(samples[..., 0]), alpha
    if alpha is not None:
        samples = np.ascontiguousarray(samples[..., :3])
    for row in samples:  # in place: a second copy of a large photograph would count
        row[:] = row[:, ::-1].copy()
    return samples, alpha
