"""Noise onto pixels: regions, grey, 16 bits, large photographs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from noise_stub import BatchSource, WaveSource, noises, photo
from unseg.errors import UnsegError
from unseg.images import view as views_module
from unseg.images.photo import Photo
from unseg.images.view import at_photo_size, model_image
from unseg.masks.labels import LabelMap
from unseg.masks.regions import LabelRules, Regions, regions_of
from unseg.noise import Budget, Change, compose, quantise
from unseg.protect import quality, steps
from unseg.protect.core import Protection, _rows, add_noise, protect_photo, refuse_unchanged
from unseg.protect.core import noise_fields as named_fields
from unseg.protect.noises import NoiseSource
from unseg.protect.noises import generator as generator_noise
from unseg.protect.noises.fixed import FixedNoise
from unseg.protect.quality import largest_change
from unseg.protect.view import View, view

DISC = (photo()[..., 0] > 140).astype(np.int32)
FULL = Photo(photo())


def noise_fields(model: object, views: list[View]) -> list[Tensor]:
    """The fields of the product's sources around a stand-in, without the sources' names."""
    return [field for _, field in named_fields(noises(model), views)]


def disc_regions(target: str) -> Regions:
    values = DISC.copy()
    values[:, :30] *= 2
    return regions_of(LabelMap(values), LabelRules(target=target))  # type: ignore[arg-type]


def _union_noise(source: WaveSource, before: Photo, foreground: np.ndarray) -> Tensor:
    shown = view(before, Regions.union(foreground))
    return noise_fields(source, [shown])[0]


@pytest.mark.parametrize("target", ["class", "instance"])
def test_each_region_has_the_noise_of_its_own_prompt(target: str) -> None:
    regions, source = disc_regions(target), WaveSource()
    shown = view(FULL, regions)
    field = noise_fields(source, [shown])[0]
    assert regions.count >= 2
    for r in range(1 + regions.count):
        prompt = regions.foreground if r == 0 else regions.index == r
        alone = source.noise(shown.image, torch.from_numpy(prompt)[None], [r])[0]
        here = torch.from_numpy(regions.index == r)
        assert torch.equal(field[:, here], alone[:, here])
    union = _union_noise(source, FULL, regions.foreground)
    assert not torch.equal(field, union)


def test_where_every_label_is_a_class_the_first_carries_no_noise() -> None:
    rules = LabelRules(target="class", background=None)
    regions = regions_of(LabelMap(disc_regions("class").index.astype(np.int32)), rules)
    field = noise_fields(WaveSource(), [view(FULL, regions)])[0]
    first = torch.from_numpy(regions.index == 1)
    assert bool(first.any()) and not field[:, first].any() and bool(field[:, ~first].all())


def test_prompts_beyond_the_memory_limit_go_in_several_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = view(FULL, disc_regions("instance"))
    source = BatchSource()
    together = noise_fields(source, [shown])[0]
    assert source.calls == 1
    monkeypatch.setattr(generator_noise, "MAX_VALUES", 3 * shown.foreground.size)
    apart = noise_fields(source, [shown, shown])
    assert source.batches == 0 and source.calls == 1 + 2 * (1 + shown.count)
    assert all(torch.equal(field, together) for field in apart)


def test_batches_give_the_same_noise_as_single_images() -> None:
    views = [view(Photo(photo(30, 50, s)), Regions.union(photo(30, 50, s)[..., 0] > 120))
             for s in range(3)]  # fmt: skip
    views.append(view(FULL, disc_regions("class")))
    source = BatchSource()
    batched = noise_fields(source, views)
    assert source.batches == 1
    for one, field in zip(views, batched, strict=True):
        assert torch.equal(noise_fields(source, [one])[0], field)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("budget", [Budget(), Budget(3.7, 0), Budget(255, 255), Budget(0, 5)])
def test_the_budget_holds_for_every_kind(bits: int, grey: bool, budget: Budget) -> None:
    pixels = photo()[..., 0] if grey else photo()
    if bits == 16:
        pixels = pixels.astype(np.uint16) * 257 + 100
    before = Photo(pixels)
    foreground = DISC > 0
    noise = _union_noise(WaveSource(), before, foreground)
    after = add_noise(before, noise, foreground, budget)
    assert after.dtype == pixels.dtype and after.shape == pixels.shape
    change = largest_change(before, Photo(after), foreground)
    assert change.within(budget)
    reached = Change(np.floor(budget.foreground), np.floor(budget.background))
    if max(reached.inside, reached.outside) < 90:  # beyond, the range of samples may end first
        expected = reached if not grey or reached.inside == 0 else change
        assert change == expected and max(change.inside, change.outside) > 0
    difference = after.astype(int) - pixels.astype(int)
    inner = (after > 0) & (after < (65535 if bits == 16 else 255))
    assert not (difference[inner] % before.step).any()


class Channels:
    """The same three values everywhere."""

    model_id, sha256 = "channels", "0" * 64

    def noise(self, image: Tensor, masks: Tensor) -> Tensor:
        return torch.tensor([1.0, -1.0, 0.5])[None, :, None, None].expand(len(masks), *image.shape)


def test_grey_images_get_the_sum_of_the_channels_within_the_bound() -> None:
    everywhere = np.ones((40, 60), bool)
    before = Photo(np.full((40, 60), 100, np.uint8))
    shown = view(before, Regions.union(everywhere))
    # Visibility is measured on the change that is published, so the sum comes first.
    noise = noise_fields(Channels(), [shown])[0]
    assert (noise == 0.5).all()
    assert (add_noise(before, noise, everywhere, Budget(8, 2)) == 104).all()
    strong = add_noise(before, torch.ones_like(noise), everywhere, Budget(8, 2))
    assert (strong == 108).all()


def test_noise_that_ends_at_the_mask_ends_there_in_large_photographs_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views_module, "MODEL_VIEW", 30)
    foreground = np.zeros((40, 60), bool)
    foreground[10:20, 13:41] = True
    foreground[31, 5:55] = True  # a line that every second row would miss
    shown = view(FULL, Regions.union(foreground))
    inside = torch.from_numpy(shown.foreground).expand(3, -1, -1).float()
    changed = (add_noise(FULL, inside, foreground, Budget(8, 2)) != FULL.pixels).any(axis=2)
    assert not changed[~foreground].any()
    assert changed[foreground].all()


def test_large_photographs_are_shown_smaller_and_noise_is_resized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views_module, "MODEL_VIEW", 30)
    monkeypatch.setattr(quality, "BLOCK_PIXELS", 500)
    shown = view(FULL, disc_regions("class"))
    assert shown.image.shape == (3, 20, 30) and shown.foreground.shape == (20, 30)
    assert set(np.unique(shown.index)) == {0, 1, 2}
    noise = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = add_noise(FULL, noise, DISC > 0, Budget(8, 2))
    resized = F.interpolate(noise[None], (40, 60), mode="bilinear")[0]
    expected = add_noise(FULL, resized, DISC > 0, Budget(8, 2))
    # The two ways of summing may fall on different sides of a half step.
    assert (found != expected).mean() < 0.001
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_model_sees_8_bit_units() -> None:
    wide = Photo(photo().astype(np.uint16) * 257)
    assert torch.allclose(model_image(wide), model_image(FULL))
    grey = model_image(Photo(photo()[..., 0]))
    assert grey.shape == (3, 40, 60) and torch.equal(grey[0], grey[2])


def test_noise_that_changes_nothing_is_an_error() -> None:
    still = protect_photo(
        FULL, disc_regions("union"), [FixedNoise(torch.zeros(3, 40, 60))], Budget(), "strong"
    )
    with pytest.raises(UnsegError, match=r"a.png came out unchanged, so it would be unprotected"):
        refuse_unchanged(FULL, still, "a.png")
    broken = FixedNoise(torch.full((3, 40, 60), torch.nan))
    with pytest.raises(UnsegError, match=r"the model's noise is not finite"):
        protect_photo(FULL, disc_regions("union"), [broken], Budget(), "strong")


def test_without_foreground_nothing_is_asked_and_nothing_changes() -> None:
    source = WaveSource()
    empty = Regions.union(np.zeros_like(DISC, bool))
    made = protect_photo(FULL, empty, noises(source), Budget(), "normal")
    assert made.noise is None and source.calls == 0
    assert np.array_equal(made.pixels, FULL.pixels) and made.pixels is not FULL.pixels
    refuse_unchanged(FULL, made, "a.png")  # it was to stay as it is


def test_the_first_source_that_suits_an_image_makes_its_noise() -> None:
    class Never(NoiseSource):
        name, summary = "never", "for no image"

        def suits(self, view: View) -> bool:
            return False

        def fields(self, views: object) -> list[Tensor]:
            raise AssertionError("it suits nothing")

    ones = FixedNoise(torch.ones(3, 40, 60))
    made = protect_photo(FULL, disc_regions("union"), [Never(), ones], Budget(), "strong")
    assert isinstance(made, Protection) and made.noise == "fixed"
    with pytest.raises(UnsegError, match=r"no noise source suits the image \(tried: never\)"):
        protect_photo(FULL, disc_regions("union"), [Never()], Budget(), "strong")


def test_maps_of_a_smaller_view_come_back_at_the_photos_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views_module, "MODEL_VIEW", 30)
    assert model_image(FULL).shape == (3, 20, 30)
    left = np.zeros((20, 30), np.uint8)
    left[:, :15] = 7
    found = at_photo_size(left, FULL)
    assert found.shape == (40, 60) and (found[:, :30] == 7).all() and not found[:, 30:].any()


def test_colour_files_of_grey_pixels_are_tinted() -> None:
    grey = np.repeat(photo()[..., :1], 3, axis=2)
    regions, source = disc_regions("class"), WaveSource()
    shown = view(Photo(grey), regions)
    field = noise_fields(source, [shown])[0]
    assert source.calls == 0
    assert not field[:, torch.from_numpy(~regions.foreground)].any()
    colours = {tuple(c) for c in field[:, torch.from_numpy(regions.foreground)].T.tolist()}
    # Two classes, two colours, and both use the bound.
    assert len(colours) == 2 and all(abs(v) == 1 for c in colours for v in c)
    # A file of one channel has no colour to give, and mixed batches keep their order.
    single = view(Photo(grey[..., 0]), regions)
    fields = noise_fields(source, [shown, single, view(FULL, regions)])
    assert source.calls > 0 and torch.equal(fields[0], field)
    assert torch.equal(fields[2], noise_fields(source, [view(FULL, regions)])[0])


def by_definition(
    photo: Photo, noise: Tensor, foreground: np.ndarray, budget: Budget
) -> np.ndarray:
    """What compose and quantise say of a whole photograph at once."""
    height, width = foreground.shape
    ends = not noise[:, torch.from_numpy(~views_module.touched(foreground, *noise.shape[1:]))].any()
    if ends and tuple(noise.shape[1:]) != foreground.shape:
        cut = torch.from_numpy(foreground).float()
    else:
        cut = torch.ones(foreground.shape)
    image = torch.from_numpy(photo.pixels).float()
    image = image[None] if photo.grey else image.permute(2, 0, 1)
    noise = noise[: len(image)]
    if noise.shape[2] != width:
        noise = F.interpolate(noise[None], (noise.shape[1], width), mode="bilinear")[0]
    if noise.shape[1] != height:
        noise = _rows(noise, slice(0, height), height)
    mask = torch.from_numpy(foreground).float()[None, None]
    protected = compose(image[None], (noise * cut)[None], mask, budget)
    whole = quantise(protected, image[None], mask, budget)[0].to(torch.uint8).numpy()
    return whole[0] if photo.grey else whole.transpose(1, 2, 0)


@pytest.mark.parametrize("budget", [Budget(), Budget(5.5, 0.7), Budget(1, 0), Budget(255, 200.3)])
@pytest.mark.parametrize("size", [(90, 130), (45, 65), (33, 47)])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_whole_steps_are_what_compose_and_quantise_say(
    monkeypatch: pytest.MonkeyPatch, budget: Budget, size: tuple[int, int], grey: bool, ends: bool
) -> None:
    rng = np.random.default_rng(sum(size) + grey)
    pixels = rng.integers(0, 256, (90, 130) if grey else (90, 130, 3), np.uint8)
    pixels[:20], pixels[-20:] = 0, 255
    foreground = np.zeros((90, 130), bool)
    foreground[20:70, 30:100] = True
    noise = torch.from_numpy(rng.uniform(-1, 1, (3, *size)).astype(np.float32))
    noise[:, ::7] = noise[:, ::7].sign() * torch.tensor([0.5, 0.0625, 1.0])[:, None, None]  # ties
    if ends:
        noise *= torch.from_numpy(views_module.touched(foreground, *size)).float()
    before = Photo(pixels)
    assert steps.suits(before)
    expected = by_definition(before, noise, foreground, budget)
    for block in (1 << 15, 500):
        monkeypatch.setattr(steps, "CACHED_PIXELS", block)
        found = add_noise(before, noise, foreground, budget)
        assert found.dtype == np.uint8 and found.shape == pixels.shape
        # The definition rounds the sum less the original, whose last bits are gone: where a change
        # is a half but for those, it is rounded the other way.
        apart = np.abs(found.astype(int) - expected)
        assert apart.max() <= 1 and np.count_nonzero(apart) <= 5e-4 * apart.size
        moved = np.abs(found.astype(int) - pixels).reshape(90, 130, -1).max(axis=2)
        assert moved[foreground].max() <= budget.foreground
        assert moved[~foreground].max() <= budget.background


def test_samples_that_are_no_steps_go_the_long_way() -> None:
    assert not steps.suits(Photo(FULL.pixels.astype(np.uint16)))
    assert not steps.suits(Photo(FULL.pixels, nodata=0))
    assert not steps.suits(Photo(FULL.pixels, range=(0, 100)))
