"""The kinds of images that Python callers hold: numpy, Pillow and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from unseg.errors import UnsegError
from unseg.images.photo import Photo, Pixels
from unseg.images.ranges import RangeChoice, with_range
from unseg.images.reader import check_image, photo_of

Kind = TypeVar("Kind", NDArray[Any], Image.Image, Tensor)
ImageLike = NDArray[Any] | Image.Image | Tensor

Restore = Callable[[Photo], Any]


def open_image(image: object, choice: RangeChoice = "auto") -> tuple[Photo, Restore]:
    """A photo of an image, and the way back from a changed photo to the image's kind.

    Args:
        image: a numpy array, a Pillow image or a torch tensor, whose floats always use their
            whole range.
        choice: which range of 16-bit samples is in use.

    Raises:
        UnsegError: when kind, shape, dtype or range are not those that
            :meth:`unseg.protect.protector.Protector.protect` names.
    """
    if isinstance(image, Image.Image):
        check_image(image, "the image")
        _check_bands(image)
        return with_range(photo_of(image), choice), _to_pillow
    if isinstance(image, Tensor):
        return _open_tensor(image)
    if isinstance(image, np.ndarray):
        photo, restore = _open_array(image)
        return with_range(photo, choice), restore
    raise UnsegError(
        f"cannot protect a {type(image).__name__}: expected a numpy array, a Pillow image or a "
        "torch tensor"
    )


def _check_bands(image: Image.Image) -> None:
    """Refuse a TIFF of which Pillow shows a part: bands would be lost in silence."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    pages = _pages(image)
    if pages > 1:
        raise UnsegError(
            f"the image holds {pages} frames: expected a still image; give each frame by itself, "
            "such as one of PIL.ImageSequence.all_frames"
        )
    if image.mode.startswith("I;16"):
        return
    bits, bands = max(tags.get(258, (1,))), tags.get(277, 1)
    if bits > 8 or bands > len(image.getbands()):
        raise UnsegError(
            f"the image is a TIFF of {bands} bands with {bits} bits, of which Pillow shows "
            f"{len(image.getbands())} with 8: give the file to unseg.protect_folder, or a numpy "
            "array"
        )


def _pages(image: Image.Image) -> int:
    """Pictures in a TIFF that a caller has at its first; smaller copies and masks are none."""
    if image.tell() or getattr(image, "fp", None) is None:
        return 1  # a page that was chosen, or a file that is closed
    count = 0
    try:
        for page in range(getattr(image, "n_frames", 1)):
            image.seek(page)
            count += not int(image.tag_v2.get(254, 0)) & 5  # type: ignore[attr-defined]
        image.seek(0)
    except Exception:  # reading what is there will say why
        return 1
    return max(1, count)


def _to_pillow(photo: Photo) -> Image.Image:
    made = Image.fromarray(_with_alpha(photo))
    kept = (("icc_profile", photo.icc), ("exif", photo.exif), ("dpi", photo.dpi))
    for name, value in kept:
        if value:
            made.info[name] = value
    return made


def _open_array(image: NDArray[Any]) -> tuple[Photo, Restore]:
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in {2, 3} or channels not in {1, 3, 4} or 0 in image.shape:
        raise UnsegError(
            f"the array has shape {image.shape}: expected (H, W), (H, W, 1), (H, W, 3) or "
            "(H, W, 4), channels last"
        )
    if image.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise UnsegError(
            f"the array has dtype {image.dtype}: expected uint8 or uint16, or a torch tensor for "
            "floats"
        )
    alpha = np.ascontiguousarray(image[..., 3]) if channels == 4 else None
    colour = image[..., :3] if channels == 4 else image
    pixels = np.ascontiguousarray(colour[..., 0] if colour.shape[2:] == (1,) else colour)
    return Photo(pixels, alpha), lambda photo: _with_alpha(photo).reshape(image.shape)


def _open_tensor(image: Tensor) -> tuple[Photo, Restore]:
    if image.ndim != 3 or image.shape[0] not in {1, 3} or 0 in image.shape:
        raise UnsegError(
            f"the tensor has shape {tuple(image.shape)}: expected (3, H, W) or (1, H, W), channels "
            "first"
        )
    if image.dtype == torch.uint8:
        photo = Photo(_channels_last(image.detach().cpu()))
        return photo, lambda p: _channels_first(p.pixels).to(image.device)
    # Half precision cannot hold 8-bit steps: rounding would break the bound.
    if image.dtype not in {torch.float32, torch.float64}:
        raise UnsegError(f"the tensor has dtype {image.dtype}: expected uint8, float32 or float64")
    values = image.detach().cpu().double()
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # NaN fails this too
        raise UnsegError(
            f"the tensor's values run from {low:g} to {high:g}: expected [0, 1], or [0, 255]"
        )
    peak = 255.0 if high > 1 else 1.0
    photo = Photo(_channels_last((values * (65535 / peak)).round().numpy().astype(np.uint16)))

    def restore(changed: Photo) -> Tensor:
        # Only the change goes through 16 bits: the image keeps its own precision.
        change = changed.pixels.astype(np.int32) - photo.pixels.astype(np.int32)
        result = values + _channels_first(change).double() * (peak / 65535)
        return result.clamp(0, peak).to(image.device, image.dtype)

    return photo, restore


def _with_alpha(photo: Photo) -> Pixels:
    return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])


def _channels_last(values: Any) -> Pixels:
    array = np.asarray(values)
    return np.ascontiguousarray(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))


def _channels_first(values: NDArray[Any]) -> Tensor:
    first = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(first))
