"""The texture bank: plane waves with the image's phases, one chosen at every cell."""

from __future__ import annotations

import math

import pytest
import torch

from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.geometry import letterbox
from unseg.models.sam.base import SamBase, architecture
from unseg.models.textures import ANGLES, BY_LOOK, Codebook, TextureBank, wave_vectors

PERIODS = (4.0, 8.0)


@pytest.fixture
def bank() -> TextureBank:
    torch.manual_seed(0)
    return TextureBank(channels=16, embed_dim=12, periods=PERIODS)


def test_every_period_has_every_orientation() -> None:
    vectors = wave_vectors(PERIODS)
    periods = 1 / vectors.norm(dim=1)
    angles = torch.atan2(vectors[:, 0], vectors[:, 1]) / math.pi
    assert periods.tolist() == pytest.approx([p for p in PERIODS for _ in ANGLES])
    assert angles.tolist() == pytest.approx(list(ANGLES) * 2)


def test_a_wave_repeats_after_its_period_and_along_its_crest(bank: TextureBank) -> None:
    waves = bank.waves(torch.randn(1, 12, 3, 3), 24)[0]
    level, upright = waves[2], waves[0]  # normals along y and along x, period 4
    torch.testing.assert_close(upright[:, 4:], upright[:, :-4], atol=1e-4, rtol=0)
    torch.testing.assert_close(upright[1:], upright[:-1], atol=1e-4, rtol=0)
    torch.testing.assert_close(level[4:], level[:-4], atol=1e-4, rtol=0)
    assert float((level - upright).abs().max()) > 0.5


def test_phases_follow_the_image_and_nothing_else(bank: TextureBank) -> None:
    embedding = torch.randn(3, 12, 4, 4)
    together = bank.waves(embedding, 16)
    torch.testing.assert_close(together[1:2], bank.waves(embedding[1:2], 16), atol=1e-4, rtol=0)
    assert float((together[0] - together[1]).abs().max()) > 0.5
    rebuilt = TextureBank(channels=16, embed_dim=12, periods=PERIODS)
    torch.testing.assert_close(together, rebuilt.waves(embedding, 16), atol=1e-4, rtol=0)


def test_a_sure_choice_shows_one_texture_in_its_colour(bank: TextureBank) -> None:
    embedding, colours = torch.randn(1, 12, 4, 4), torch.randn(1, 3, 16)
    with torch.no_grad():
        bank.choice.weight.copy_(torch.eye(16)[:, :, None, None])
        bank.choice.bias.zero_()
    feature = torch.zeros(1, 16, 16, 16)
    feature[:, 5, :, :8] = 100.0
    feature[:, 9, :, 8:] = 100.0
    logits = bank(feature, embedding, colours)[0]
    waves = bank.waves(embedding, 16)[0]
    shown = colours[0] / colours[0].norm(dim=0) * math.sqrt(3)
    for texture, columns in ((5, slice(0, 8)), (9, slice(8, 16))):
        expected = shown[:, texture, None, None] * waves[texture][:, columns]
        torch.testing.assert_close(logits[:, :, columns], expected, atol=1e-4, rtol=0)


def test_gradients_reach_the_choice_and_the_colours(bank: TextureBank) -> None:
    feature = torch.randn(2, 16, 8, 8, requires_grad=True)
    colours = torch.randn(2, 3, 16, requires_grad=True)
    bank(feature, torch.randn(2, 12, 4, 4), colours).square().sum().backward()
    for tensor in (feature, colours, bank.choice.weight, bank.log_sharpness):
        assert tensor.grad is not None and float(tensor.grad.abs().max()) > 0


def test_waves_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="3 periods make 12 waves, which do not divide 16"):
        TextureBank(channels=16, embed_dim=12, periods=(4, 5, 6))


def test_a_code_moves_the_choice_on(bank: TextureBank) -> None:
    embedding, colours = torch.randn(2, 12, 4, 4), torch.randn(2, 3, 16)
    with torch.no_grad():
        bank.choice.weight.copy_(torch.eye(16)[:, :, None, None])
        bank.choice.bias.zero_()

    def feature(*textures: int) -> torch.Tensor:
        sure = torch.zeros(2, 16, 8, 8)
        for image, texture in enumerate(textures):
            sure[image, texture] = 100.0
        return sure

    moved = bank(feature(5, 14), embedding, colours, torch.tensor([2, 3]))
    plain = bank(feature(7, 1), embedding, colours)
    torch.testing.assert_close(moved, plain, atol=1e-4, rtol=0)


def test_a_code_names_the_same_texture_in_every_image_but_for_its_phase() -> None:
    torch.manual_seed(0)
    book = Codebook(embed_dim=12, periods=(4.0, 8.0))
    count = len(book.vectors)
    embedding = torch.randn(2, 12, 4, 4)
    code = torch.tensor([5, 5])
    first, second = book(embedding, code, 32)
    assert first.shape == (3, 32, 32) and float(first.abs().max()) <= 1
    assert float(first.square().mean()) > 0.7 and float((first - second).abs().max()) > 0.5
    # The spectrum does not know the phase.
    spectra = [torch.fft.rfft2(one).abs() for one in (first, second)]
    torch.testing.assert_close(*spectra, atol=8.0, rtol=0.2)
    again = book(embedding[:1], code[:1] + count, 32)[0]
    torch.testing.assert_close(again, first, atol=1e-5, rtol=0)


def test_codes_differ_in_colour_direction_or_period() -> None:
    book = Codebook(embed_dim=12, periods=(4.0, 8.0))
    embedding = torch.randn(1, 12, 4, 4).expand(len(book.vectors), -1, -1, -1)
    noise = book(embedding, torch.arange(1, 1 + len(book.vectors)), 32).flatten(1)
    alike = torch.corrcoef(noise) - torch.eye(len(noise))
    assert float(alike.abs().max()) < 0.5


def test_without_classes_like_parts_of_images_get_like_textures() -> None:
    torch.manual_seed(0)
    book = Codebook(embed_dim=12, periods=(4.0,))
    book.centres.copy_(torch.randn(9, 12))
    layout = torch.tensor([[3, 3, 7, 7]] * 2 + [[0, 0, 5, 5]] * 2)
    embedding = (book.centres[layout] + 0.01 * torch.randn(4, 4, 12)).permute(2, 0, 1)[None]
    assert torch.equal(book.nearest(embedding, 4)[0], layout)
    shown = book(embedding, torch.tensor([BY_LOOK]), 32)[0]
    for entry, rows, columns in ((3, 0, 0), (7, 0, 16), (0, 16, 0), (5, 16, 16)):
        here = (slice(None), slice(rows, rows + 16), slice(columns, columns + 16))
        alone = book(embedding, torch.tensor([1 + entry]), 32)[0]
        torch.testing.assert_close(shown[here], alone[here])


def test_a_mask_of_the_whole_image_leaves_the_texture_to_the_image() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    config = HeadConfig(width=8, textures=(4.0,), codebook=(4.0,))
    generator = NoiseGenerator(base, config).eval()
    image = torch.rand(3, 64, 64) * 255
    half = torch.zeros(1, 64, 64, dtype=torch.bool)
    half[:, :, :32] = True
    whole = torch.ones_like(half)
    learned, by_look, coded = (
        generator.noise(image, mask, codes)[0]
        for mask, codes in ((half, [0]), (whole, [0]), (whole, [3]))
    )
    book = generator.codebook
    assert book is not None
    embedding = base.encode(letterbox(image[None], 64)[0]).embedding
    for found, code in ((by_look, BY_LOOK), (coded, 3)):
        named = book(embedding, torch.tensor([code]), generator.grid)
        small = torch.nn.functional.avg_pool2d(found[None], 4)
        assert torch.corrcoef(torch.stack([small.flatten(), named.flatten()]))[0, 1] > 0.9
    assert not torch.allclose(learned, by_look, atol=0.1)


def test_without_background_noise_stays_inside_the_prompt() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    head = HeadConfig(width=8, textures=(4.0,), codebook=(4.0,), background=False)
    generator = NoiseGenerator(base, head).eval()
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)
    masks[0, 10:30, 5:40], masks[1, 30:, 50:] = True, True
    for mask, noise in zip(
        masks, generator.noise(torch.rand(3, 48, 64) * 255, masks, [0, 2]), strict=True
    ):
        assert bool(noise[:, mask].any()) and not noise[:, ~mask].any()
