"""The texture bank: plane waves with the image's phases, one chosen at every cell."""

from __future__ import annotations

import math

import pytest
import torch

from unseg.models.textures import ANGLES, TextureBank, wave_vectors

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
