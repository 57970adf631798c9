"""A victim's loader: crops, colours and many answers, against OpenCV's plain way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from unseg.datasets.samples import LazySamples, Sample
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.colours import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    SATURATION,
    Colours,
    distorted,
    drawn,
)
from unseg.evaluate.victims.loader import USUAL, Augmentation, CropLoader
from unseg.evaluate.victims.resident import Stack
from unseg.evaluate.victims.unet import UNetVictim

CPU = torch.device("cpu")


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def plain(image: np.ndarray, colours: dict[str, float]) -> np.ndarray:
    """PhotoMetricDistortion as mmsegmentation writes it, with OpenCV's HSV, in floats."""

    def convert(image: np.ndarray, alpha: float = 1.0, beta: float = 0.0) -> np.ndarray:
        return np.clip(image * alpha + beta, 0, 1).astype(np.float32)

    image = convert(image.astype(np.float32) / 255, beta=colours["brightness"])
    image = convert(image, alpha=colours["before"])
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # degrees, and two shares of 1
    hsv[..., 1] = convert(hsv[..., 1], alpha=colours["saturation"])
    hsv[..., 0] = (hsv[..., 0] + 360 * colours["hue"]) % 360
    return convert(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), alpha=colours["after"])


def test_photometric_distortion_is_that_of_practitioners() -> None:
    """Every operation with what was drawn for it; grey and black pixels among them."""
    image = photograph(40, 50)
    image[:5], image[5:8], image[8:10] = 128, 0, 255
    batch = torch.from_numpy(image).permute(2, 0, 1).float().expand(64, -1, -1, -1) / 255
    colours = drawn(64, np.random.default_rng(1))
    found = distorted(batch, colours)
    for i in range(64):
        chosen = {name: float(value[i]) for name, value in vars(colours).items()}
        expected = plain(image, chosen)
        assert np.abs(found[i].permute(1, 2, 0).numpy() - expected).max() < 1e-4, chosen


def test_hue_turns_by_steps_of_opencv() -> None:
    """In 8 bit, as trainers compute it: equal but for their rounding of hue to two degrees."""
    image = photograph(64, 64)
    colours = Colours(*(torch.tensor([value]) for value in (0.0, 1.0, 1.0, 18 / 180, 1.0)))
    found = distorted(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255, colours)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 18) % 180
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    gap = np.abs(255 * found[0].permute(1, 2, 0).numpy() - expected)
    assert gap.max() < 6 and gap.mean() < 1.5


def test_ranges_and_shares_of_the_draw() -> None:
    colours = drawn(20_000, np.random.default_rng(0))
    for values, neutral, low, high in (
        (255 * colours.brightness, 0, -BRIGHTNESS, BRIGHTNESS),
        (colours.saturation, 1, 1 - SATURATION, 1 + SATURATION),
        (180 * colours.hue, 0, -HUE, HUE - 1),
        (colours.before * colours.after, 1, 1 - CONTRAST, 1 + CONTRAST),
    ):
        moved = values != neutral
        assert moved.float().mean().item() == pytest.approx(0.5, abs=0.03)
        assert values.min().item() == pytest.approx(low, abs=0.1)
        assert values.max().item() == pytest.approx(high, abs=0.1)
    first, last = (colours.before != 1), (colours.after != 1)
    assert not (first & last).any()
    assert first.float().mean().item() == pytest.approx(0.25, abs=0.03)
    turns = 180 * colours.hue
    assert torch.allclose(turns, turns.round(), atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1.3, 1.9])
@pytest.mark.parametrize("flip", [False, True])
def test_enlarged_crops_are_opencvs(scale: float, flip: bool) -> None:
    """Of several sizes, reflected or filled beyond the borders; labels by the nearest."""
    arrays = [
        np.dstack([photograph(h, w), np.random.default_rng(h).integers(0, 5, (h, w))])
        for h, w in ((90, 140), (80, 60))
    ]
    stack = Stack([array.astype(np.uint8) for array in arrays], CPU)
    matrix = np.array([[-scale if flip else scale, 0, 120.3 if flip else -12.2], [0, scale, -21.0]])
    numbers, matrices = np.array([1, 0]), np.stack([matrix, matrix])
    soft, hard = stack.crops(numbers, matrices, 64)
    filled, _ = stack.crops(numbers, matrices, 64, fill=(10, 20, 30))
    for i, array in enumerate((arrays[1], arrays[0])):
        image, labels = array[..., :3].astype(np.uint8), array[..., 3].astype(np.uint8)

        def warped(what: np.ndarray, method: int, **border: object) -> np.ndarray:
            return cv2.warpAffine(what, matrix, (64, 64), flags=method, **border)  # type: ignore

        expected = warped(image, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        assert np.abs(soft[i].permute(1, 2, 0).numpy() - expected).max() < 1
        expected = warped(image, cv2.INTER_LINEAR, borderValue=(10, 20, 30))
        assert np.abs(filled[i].permute(1, 2, 0).numpy() - expected).max() < 1
        expected = warped(labels, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        assert (hard[i, 0].numpy() == expected).mean() > 0.99


def test_shrunken_crops_are_free_of_aliasing() -> None:
    image = photograph(100, 120)
    matrix = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])  # pixel edges on pixel edges
    soft, _ = Stack([image], CPU).crops(np.array([0]), matrix[None], 40)
    whole = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(whole, scale_factor=0.5, mode="bilinear", antialias=True)
    assert torch.allclose(soft, expected[..., :40, :40], atol=1e-3)


def drawn_batch(samples: object, seed: int, augmentation: Augmentation = USUAL) -> torch.Tensor:
    loader = CropLoader(
        samples, size=48, crop=64, batch_size=4, augmentation=augmentation,  # type: ignore
        binary=False, rng=np.random.default_rng(seed),
    )  # fmt: skip
    loader.draw()
    images, targets = loader.draw()
    assert images.min() >= 0 and images.max() <= 1 and targets.dtype == torch.int64
    return torch.cat([images, targets[:, None]], dim=1)


def test_crops_follow_from_the_seed_alone_however_samples_are_read() -> None:
    samples = [
        Sample(str(i), photograph(50 + 8 * i, 90, i), np.eye(50 + 8 * i, 90) > 0) for i in range(5)
    ]
    lazy = LazySamples([sample.name for sample in samples], samples.__getitem__)
    first = drawn_batch(samples, 0)
    torch.rand(3)  # torch's own generator has no part in it
    assert torch.equal(first, drawn_batch(samples, 0))
    assert torch.allclose(first, drawn_batch(lazy, 0), atol=1e-5)
    assert not torch.equal(first, drawn_batch(samples, 1))
    assert not torch.equal(first, drawn_batch(samples, 0, Augmentation(smallest=0.5, largest=2.0)))


def test_the_key_names_the_colours_that_act() -> None:
    assert Augmentation().settings() == {
        "smallest": 0.75, "largest": 1.5, "flip": 0.5, "jitter": 0.2
    }  # fmt: skip
    assert USUAL.settings() == {"smallest": 0.5, "largest": 2.0, "flip": 0.5, "photometric": True}


def test_many_answers_are_those_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where photographs of one size are asked about together."""
    problem = Problem("semantic", ("a", "b", "c"))
    sizes = ((40, 60), (40, 60), (50, 60), (40, 60), (40, 60), (40, 60))
    samples = [
        Sample(str(i), photograph(h, w, i), np.ones((h, w), bool), np.full((h, w), i % 3, np.uint8))
        for i, (h, w) in enumerate(sizes)
    ]
    victim = UNetVictim(width=4, units=1, size=48, crop=32, steps=3, batch_size=2)
    victim.fit(samples, problem, Training(0))
    asked: list[int] = []
    with monkeypatch.context() as gpu:
        gpu.setattr(type(victim), "device", staticmethod(lambda network: torch.device("cuda")))
        gpu.setattr(victim, "_answers", lambda images: asked.append(len(images)) or images)
        assert [sample.name for _, sample in victim.answers(samples)] == list("012345")
    assert asked == [2, 1, 3]
    together = torch.stack([*victim._answers([sample.image for sample in samples[:2]])])
    each = [victim.predict(sample.image) for sample in samples]
    assert (together == torch.stack(each[:2])).float().mean() > 0.999  # type: ignore[arg-type]
    found = list(victim.answers(iter(samples)))
    assert [sample.name for _, sample in found] == [sample.name for sample in samples]
    for (one, _), other in zip(found, each, strict=True):
        assert torch.equal(one, other)  # type: ignore[arg-type]
