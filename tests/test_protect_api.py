"""``unseg.Protector`` on numpy, Pillow and torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import unseg
from noise_stub import BrightMask, WaveSource, fill_boxes, noises, photo
from unseg import Budget, Protector
from unseg.errors import UnsegError
from unseg.masks.sources import boxes as box_masks
from unseg.masks.sources.whole import WholeImage

MASK = photo()[..., 0] > 140


@pytest.fixture
def protector() -> Protector:
    return Protector(noises(WaveSource()), [BrightMask(), WholeImage()], base=object())


def within(
    before: np.ndarray, after: np.ndarray, unit: float = 1.0, tolerance: float = 1e-6
) -> bool:
    change = np.abs(after.astype(float) - before.astype(float)).max(axis=-1) / unit
    return change[MASK].max() <= 8 + tolerance and change[~MASK].max() <= 2 + tolerance


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_numpy(protector: Protector, dtype: type, channels: int | None) -> None:
    unit = 257 if dtype is np.uint16 else 1
    image = photo()[..., [0, 1, 2, 0]].astype(dtype) * unit
    image = image[..., 0] if channels is None else image[..., :channels]
    kept = image.copy()
    result = protector.protect(image, MASK)
    assert type(result.image) is np.ndarray
    assert result.image.shape == image.shape and result.image.dtype == dtype
    shown = (lambda x: x[..., None]) if channels is None else (lambda x: x[..., :3])
    assert within(shown(image), shown(result.image), unit)
    assert np.array_equal(image, kept), "the input was changed"
    if channels == 4:
        assert np.array_equal(result.image[..., 3], image[..., 3])
    assert result.mask_source == "given" and np.array_equal(result.mask, MASK)
    assert result.change.within(Budget()) and result.change.inside > result.change.outside > 0
    assert result.psnr is not None and 30 < result.psnr < 60
    assert result.ssim is not None and 0.5 < result.ssim < 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "1", "P"])
def test_pillow(protector: Protector, mode: str) -> None:
    image = Image.fromarray(photo()).convert(mode)
    result = protector.protect(image, Image.fromarray(MASK))
    assert isinstance(result.image, Image.Image) and result.image.size == image.size
    assert result.image.mode == {"1": "L", "P": "RGB"}.get(mode, mode)
    before, after = (np.asarray(x.convert("RGB")) for x in (image, result.image))
    assert within(before, after) and not np.array_equal(before, after)


def test_pillow_orientation_is_applied(protector: Protector) -> None:
    image = Image.fromarray(photo())
    image.getexif()[ExifTags.Base.Orientation] = 6
    result = protector.protect(image, np.rot90(MASK, -1))
    assert result.image.size == (40, 60)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("peak", [1, 255])
def test_torch(protector: Protector, dtype: torch.dtype, peak: int) -> None:
    if dtype == torch.uint8 and peak == 1:
        pytest.skip("uint8 has one range")
    values = torch.from_numpy(photo()).permute(2, 0, 1)
    image = values if dtype == torch.uint8 else (values.to(dtype) / 255 * peak)
    result = protector.protect(image, torch.from_numpy(MASK)[None])
    assert result.image.dtype == dtype and result.image.shape == image.shape
    unit = 1 if peak == 255 else 1 / 255
    before, after = (x.permute(1, 2, 0).double().numpy() for x in (image, result.image))
    assert within(before, after, unit, 1e-3 if dtype == torch.float32 else 1e-6)
    expected = protector.protect(photo(), MASK).image
    assert np.array_equal(np.rint(after / unit), expected), "all kinds give the same image"


def test_torch_floats_between_the_steps_keep_their_fraction(protector: Protector) -> None:
    image = torch.full((3, 40, 60), 100.3 / 255, dtype=torch.float64)
    change = (protector.protect(image, MASK, visibility="strong").image - image) * 255
    assert torch.allclose(
        change, change.round(), atol=1e-9
    ) and change.abs().max() == pytest.approx(8)


def test_integer_masks_follow_the_rules_of_files(protector: Protector) -> None:
    labels = np.where(MASK, 3, 0)
    labels[0] = 255
    assert np.array_equal(protector.protect(photo(), labels).mask, MASK & (labels != 255))
    binary = np.where(MASK, 255, 0).astype(np.uint8)
    assert np.array_equal(protector.protect(photo(), binary).mask, MASK)


def test_targets_give_different_noise(protector: Protector) -> None:
    labels = np.where(MASK, 1, 0)
    labels[:, 30:] *= 2
    one = protector.protect(photo(), labels).image
    other = protector.protect(photo(), labels, target="class").image
    assert not np.array_equal(one, other)


def test_without_a_mask_it_is_proposed(protector: Protector) -> None:
    result = protector.protect(photo())
    assert result.mask_source == "salient" and 0 < result.mask.mean() < 1
    flat = protector.protect(np.full((20, 20, 3), 90, np.uint8))
    assert flat.mask_source == "whole-image" and flat.mask.all()
    empty = protector.protect(photo(), np.zeros_like(MASK))
    assert empty.mask_source == "given" and empty.noise is None and empty.psnr is None
    assert np.array_equal(empty.image, photo())


def test_a_pixel_alone_can_be_protected(protector: Protector) -> None:
    result = protector.protect(np.full((1, 1, 3), 99, np.uint8))
    assert result.change.inside == 8 and result.ssim is None


def test_boxes_become_a_mask_of_the_images_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_masks, "masks_of_boxes", fill_boxes)
    protector = Protector(noises(WaveSource()), [BrightMask(), WholeImage()], base=object())
    mask = protector.mask_of_boxes(photo(), [(6, 4, 18, 12), (30, 20, 45, 30)])
    assert mask.shape == (40, 60) and mask.dtype == np.uint16
    assert (mask[4:12, 6:18] == 1).all() and (mask[20:30, 30:45] == 2).all()
    result = protector.protect(photo(), mask, target="instance")
    assert result.mask_source == "given" and result.mask.sum() == 96 + 150
    for boxes in ([], [(1, 2, 3)], [(0, 0, float("nan"), 4)], [(70, 0, 90, 9)]):
        with pytest.raises(UnsegError, match="boxes"):
            protector.mask_of_boxes(photo(), boxes)  # type: ignore[arg-type]
    with pytest.raises(UnsegError, match="no SAM that can read boxes"):
        Protector(noises(WaveSource())).mask_of_boxes(photo(), [(0, 0, 9, 9)])


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        ("photo.jpg", None, "cannot protect a str: expected a numpy array, a Pillow image or"),
        (np.zeros((4, 4, 2), np.uint8), None, r"shape \(4, 4, 2\): expected \(H, W\)"),
        (np.zeros((0, 4, 3), np.uint8), None, r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3)), None, "dtype float64: expected uint8 or uint16"),
        (torch.zeros(4, 4, 3), None, r"shape \(4, 4, 3\): expected \(3, H, W\)"),
        (torch.zeros(3, 4, 4).int(), None, "dtype torch.int32: expected uint8, float32 or float64"),
        (torch.full((3, 4, 4), 256.0), None, r"run from 256 to 256: expected \[0, 1\]"),
        (torch.full((3, 4, 4), -0.1), None, "run from -0.1"),
        (torch.full((3, 4, 4), torch.nan), None, "run from nan"),
        (Image.new("LAB", (4, 4)), None, "has CIE Lab colours"),
        (photo(), MASK[1:], "the mask is 60x39 but the image is 60x40"),
        (
            photo(),
            np.dstack([MASK, MASK]),
            "the mask has shape .* expected .H, W. of bool, integers or floats",
        ),
        (
            photo(),
            MASK * 1.5,
            "floats run from 0 to 1.5 and are not whole numbers: expected a soft mask",
        ),
        (photo(), MASK * np.nan, "not finite"),
        (photo(), MASK.astype(complex), "dtype complex128: expected .H, W. of bool"),
        (photo(), -MASK.astype(int), "negative labels"),
    ],
)
def test_wrong_inputs_say_what_would_work(
    protector: Protector, image: object, mask: object, message: str
) -> None:
    with pytest.raises(UnsegError, match=message):
        protector.protect(image, mask)  # type: ignore[type-var, arg-type]


def test_without_proposer_a_mask_is_needed() -> None:
    protector = Protector(noises(WaveSource()))
    assert repr(protector) == "Protector(model='waves')"
    with pytest.raises(
        UnsegError, match="no mask was given and there is no source that could find one"
    ):
        protector.protect(photo())


@pytest.mark.parametrize("device", ["tpu-9", "cuda:99"])
def test_missing_devices_are_named(device: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(UnsegError, match=f"--device {device} is not"):
        Protector.from_pretrained(device=device)


def test_missing_models_are_named() -> None:
    with pytest.raises(UnsegError, match="nosuch is neither a file nor a model"):
        Protector.from_pretrained("nosuch", device="cpu")


def test_the_package_exports_lazily() -> None:
    assert unseg.Protector is Protector and unseg.Budget is Budget
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = unseg.nosuch
    code = "import sys, unseg, unseg.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
