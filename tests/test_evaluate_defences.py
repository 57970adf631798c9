"""Every defence does what it says and leaves shapes and types alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions.lsp import LinearlySeparable
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.conditions.texture import Texture
from unseg.evaluate.conditions.uniform import Uniform
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.defences.adversarial import Adversarial
from unseg.evaluate.defences.augment import Crop
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.defences.bits import BitDepth
from unseg.evaluate.defences.median import Median
from unseg.evaluate.defences.residual import Residual
from unseg.evaluate.problem import Problem
from unseg.noise import Budget

LEARNED = {"purifier", "remover"}
BINARY = Problem("semantic", ("background", "thing"))


def photo(name: str = "a", size: tuple[int, int] = (70, 89), seed: int = 0) -> Sample:
    """Smooth colours with a little grain, and a square to protect."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    draws = rng.uniform(9, 20, (3, 3))
    waves = [np.sin(rows / draw[0] + columns / draw[1] + draw[2]) for draw in draws]
    image = 128 + 60 * np.stack(waves, axis=-1) + rng.normal(0, 2, (*size, 3))
    mask = np.zeros(size, dtype=bool)
    mask[20:50, 30:60] = True
    return Sample(name, image.round().clip(0, 255).astype(np.uint8), mask)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(kind: str, side: int = 32) -> tuple[Tensor, Tensor]:
    """Four crops whose red channel says the class of a pixel, and its class map."""
    classes = torch.randint(0, 5, (4, side // 8, side // 8), generator=rng(1))
    classes = classes.repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = torch.rand(4, 3, side, side, generator=rng(2)) * 0.1 + 0.45
    images[:, 0] = classes / 4
    if kind == "binary":
        images[:, 0] = (classes > 2).float()
        return images, (classes > 2)[:, None].float()
    classes = classes.clone()
    classes[:, :8, :8] = VOID
    return images, classes


@pytest.mark.parametrize("label", sorted(set(DEFENCES) - LEARNED))
def test_stored_images_keep_size_and_type(label: str) -> None:
    image = photo().image
    defence = DEFENCES.build(label)
    out = defence.stored(image)
    assert out.shape == image.shape and out.dtype == np.uint8
    # What the residual takes away is the mean of a set that it has not seen here.
    changes = type(defence).stored is not Defence.stored and label != "residual"
    assert (out != image).any() == changes


@pytest.mark.parametrize("kind", ["binary", "classes"])
@pytest.mark.parametrize("label", sorted(set(DEFENCES) - LEARNED))
def test_batches_keep_shapes_types_and_values(label: str, kind: str) -> None:
    images, targets = batch_of(kind)
    kept = images.clone(), targets.clone()
    state = torch.random.get_rng_state()
    found, maps = DEFENCES.build(label).batch(images, targets, rng(7))
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator is the victim's"
    assert torch.equal(images, kept[0]) and torch.equal(targets, kept[1])
    assert found.shape == images.shape and found.dtype == images.dtype
    assert maps.shape == targets.shape and maps.dtype == targets.dtype
    assert found.min() >= 0 and found.max() <= 1 and found.isfinite().all()
    if label != "mixup":
        assert set(maps.unique().tolist()) <= set(targets.unique().tolist())
    again = DEFENCES.build(label).batch(images, targets, rng(7))
    assert torch.equal(found, again[0]) and torch.equal(maps, again[1])
    assert any(
        not torch.equal(DEFENCES.build(label).batch(images, targets, rng(seed))[0], images)
        for seed in range(3)
    ) == (type(DEFENCES.build(label)).batch is not Defence.batch)


@pytest.mark.parametrize("label", ["crop", "cutmix"])
def test_geometry_moves_labels_with_the_image(label: str) -> None:
    for kind in ("binary", "classes"):
        images, targets = batch_of(kind)
        moved = 0.0
        for seed in range(4):
            found, maps = DEFENCES.build(label).batch(images, targets, rng(seed))
            classes = maps[:, 0] if kind == "binary" else maps
            told = (found[:, 0] * (1 if kind == "binary" else 4)).round()
            known = classes != VOID
            # Bilinear images and nearest labels differ on borders.
            assert (told[known] == classes[known]).float().mean() > 0.85
            moved += float((maps != targets).float().mean())
        assert moved > 0.2


def test_crops_without_room_change_nothing_but_the_side() -> None:
    images, targets = batch_of("classes")
    found, maps = Crop(smallest=1.0).batch(images, targets, rng())
    for i in range(4):
        mirrored = torch.equal(maps[i], targets[i].flip(-1))
        assert mirrored or torch.equal(maps[i], targets[i])
        expected = images[i].flip(-1) if mirrored else images[i]
        assert (found[i] - expected).abs().max() < 0.15


def test_cutout_erases_a_rectangle_and_keeps_the_labels() -> None:
    images, targets = batch_of("classes")
    found, maps = DEFENCES.build("cutout").batch(images, targets, rng())
    assert torch.equal(maps, targets)
    for erased in (found != images).any(dim=1):
        rows, columns = erased.any(1).nonzero(), erased.any(0).nonzero()
        box = found[:, :, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert 0.02 < erased.float().mean() < 0.3
        assert erased.sum() >= 0.95 * box[0, 0].numel()
    assert set(found[found != images].unique().tolist()) == {0.5}


def test_mixup_blends_images_and_foregrounds_but_no_class_indices() -> None:
    images, targets = batch_of("binary")
    found, maps = DEFENCES.build("mixup").batch(images, targets, rng(3))
    weight = 1 - (found - images).norm() / (images.roll(1, 0) - images).norm()
    assert 0.5 <= weight < 1
    torch.testing.assert_close(maps, weight * targets + (1 - weight) * targets.roll(1, 0))
    images, classes = batch_of("classes")
    assert torch.equal(DEFENCES.build("mixup").batch(images, classes, rng(3))[1], classes)


def test_noise_has_the_given_deviation() -> None:
    images = torch.full((2, 3, 64, 64), 0.5)
    found, _ = DEFENCES.build("noise").batch(images, images[:, :1], rng())
    assert float((found - images).std()) == pytest.approx(8 / 255, rel=0.05)


def test_adversarial_training_raises_the_loss_within_its_radius() -> None:
    images, _ = batch_of("binary")
    weight = torch.randn(images.shape, generator=rng())
    calls = []

    def loss(some: Tensor) -> Tensor:
        calls.append(1)
        return (some * weight).sum().square()

    moved = Adversarial(radius=8, steps=3).attack(images, loss)
    assert len(calls) == 3 and not moved.requires_grad
    assert loss(moved) > 1.1 * loss(images)
    assert (moved - images).abs().max() <= 8 / 255 + 1e-6
    assert moved.min() >= 0 and moved.max() <= 1


def test_filters_remove_fine_noise_and_keep_flat_colour() -> None:
    flat = np.full((70, 89, 3), 128, dtype=np.uint8)
    noisy = Uniform(budget=Budget(8, 8)).apply(Sample("a", flat, flat[..., 0] > 0), 0)
    for label in ("jpeg75", "jpeg50", "jpeg30", "resize50", "blur", "median"):
        defence = DEFENCES.build(label)
        kept = defence.stored(noisy).astype(int) - 128
        assert kept.std() < 0.75 * (noisy.astype(int) - 128).std(), label
        assert np.abs(defence.stored(flat).astype(int) - 128).max() <= 1, label


def test_jpeg_loses_more_at_lower_quality() -> None:
    image = photo().image.astype(int)
    losses = [
        np.abs(DEFENCES.build(f"jpeg{quality}").stored(photo().image) - image).mean()
        for quality in (90, 75, 50, 30)
    ]
    assert losses == sorted(losses) and losses[0] < losses[-1]


def test_bits_leave_evenly_spaced_levels() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert sorted(np.unique(BitDepth(bits=4).stored(ramp))) == list(range(0, 256, 17))
    assert sorted(np.unique(BitDepth(bits=1).stored(ramp))) == [0, 255]
    assert (BitDepth(bits=8).stored(ramp) == ramp).all()
    assert np.abs(BitDepth(bits=4).stored(ramp).astype(int) - ramp).max() <= 8


def test_grey_has_no_colour_and_the_median_no_specks() -> None:
    grey = DEFENCES.build("grey").stored(photo().image)
    assert (grey[..., 0] == grey[..., 1]).all() and (grey[..., 1] == grey[..., 2]).all()
    specks = np.full((20, 20, 3), 90, dtype=np.uint8)
    specks[::5, ::5] = 255
    assert (DEFENCES.build("median").stored(specks) == 90).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BitDepth(bits=0), "bits is 0: give 1 to 8"),
        (lambda: Median(side=4), "median's side is 4: give an odd number"),
    ],
)
def test_settings_that_do_not_work_are_refused(make: Callable[[], Defence], message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        make()


@pytest.mark.parametrize("noise", [Pattern(tile=32, block=8), LinearlySeparable(spread=0.0)])
def test_the_mean_residual_removes_a_fixed_pattern(noise: Pattern | LinearlySeparable) -> None:
    # Everything is mask, so the pattern has one sign; sizes differ, as photographs' do.
    sizes = [(64, 96), (64, 80), (80, 96), (64, 96), (70, 90), (64, 96)] * 8
    clean = [photo(f"{i}", size, seed=i) for i, size in enumerate(sizes)]
    clean = [Sample(one.name, one.image, np.ones_like(one.mask)) for one in clean]
    published = noise.publish(clean, BINARY, seed=0)
    defence = Residual(deviation=8, frame=96)
    defence.prepare(published, seed=0)

    def error(images: list[np.ndarray]) -> float:
        pairs = zip(images, clean, strict=True)
        return float(np.mean([np.abs(i.astype(int) - one.image).mean() for i, one in pairs]))

    before = error([one.image for one in published])
    after = error([defence.stored(one.image) for one in published])
    assert before > 7 and after < 0.5 * before


def test_the_mean_residual_leaves_textures_of_random_phase() -> None:
    clean = [photo(f"{i}", (64, 96), seed=i) for i in range(48)]
    published = Texture().publish(clean, BINARY, seed=0)
    defence = Residual(deviation=8, frame=96)
    defence.prepare(published, seed=0)
    kept = [
        np.abs(defence.stored(one.image).astype(int) - before.image)[before.mask].mean()
        for one, before in zip(published, clean, strict=True)
    ]
    assert np.mean(kept) > 6
