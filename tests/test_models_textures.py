"""Textures: plane waves drawn at the image's resolution, chosen by cell, turned by a key."""

from __future__ import annotations

import math

import pytest
import torch

from unseg.key import Key
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.geometry import letterbox
from unseg.models.sam.base import SamBase, architecture
from unseg.models.textures import ANGLES, BY_LOOK, Codebook, TextureBank
from unseg.models.waves import (
    KEY_DIRECTION,
    KEY_PERIOD,
    UNITS,
    Drawing,
    TextureTable,
    Window,
    image_phase,
    turn_hues,
)

PERIODS = (16.0, 32.0)
KEY = Key.of_text("a test")


@pytest.fixture
def bank() -> TextureBank:
    torch.manual_seed(0)
    return TextureBank(channels=16, periods=PERIODS)


def one_wave(period: float, *angles: float) -> Drawing:
    """One texture in all cells, blue alone."""
    table = TextureTable.of([(period, angles, (0.0, 0.0, 1.0))])
    return Drawing(
        torch.ones(1, 1, 16, 16), table.vectors, torch.zeros(1, 1, len(angles)),
        torch.tensor([[[0.0, 0, 1]]]),
    )  # fmt: skip


def test_every_period_has_every_orientation(bank: TextureBank) -> None:
    vectors = bank.vectors[:8, 0]
    angles = torch.atan2(vectors[:, 0], vectors[:, 1]) / math.pi
    assert (UNITS / vectors.norm(dim=1)).tolist() == pytest.approx(
        [p for p in PERIODS for _ in ANGLES]
    )
    assert angles.tolist() == pytest.approx(list(ANGLES) * 2)


@pytest.mark.parametrize("long", [512, 1024, 3000])
def test_a_wave_has_its_period_at_every_size_and_stays_crisp(long: int) -> None:
    period = 16 * long // 512 if long != 3000 else None
    blue = one_wave(16, 0.0).paint(0, Window(long // 4, long, slice(0, 8), slice(0, long)))[2]
    assert torch.equal(blue[0], blue[7]) and float(blue.abs().max()) > 0.99
    if period:
        torch.testing.assert_close(blue[:, period:], blue[:, :-period], atol=1e-3, rtol=0)
    # Nearly square at every size: few pixels lie between the crests.
    assert float((blue.abs() > 0.9).float().mean()) > 0.7


def test_two_waves_make_a_checkerboard_and_a_wave_twice_is_itself() -> None:
    window = Window.whole(128, 128)
    board = one_wave(32, 0.0, 0.5).paint(0, window)[2]
    x = torch.arange(128) + 0.5
    expected = (2 * math.pi * x / 8).sin() + (2 * math.pi * x[:, None] / 8).sin()
    sure = expected.abs() > 0.3
    assert torch.equal(board.sign()[sure], expected.sign()[sure])
    twice = one_wave(32, 0.25, 0.25).paint(0, window)
    torch.testing.assert_close(twice, one_wave(32, 0.25).paint(0, window), atol=1e-5, rtol=0)
    # The key turns both waves of a texture by one angle and shifts what is one wave by one phase.
    mixed = [(16.0, (0.25,), (0.0,) * 3), (16.0, (0.0, 0.5), (0.0,) * 3)]
    table = TextureTable.of(mixed).keyed(KEY, "x")
    assert torch.equal(table.vectors[0, 0], table.vectors[0, 1])
    assert abs(float(table.vectors[1].prod(0).sum())) < 1e-2, "still at a right angle"
    phases = table.phases(torch.randn(2, 12, 4, 4), KEY, "x")
    assert torch.equal(phases[:, 0, 0], phases[:, 0, 1])
    assert not torch.equal(phases[:, 1, 0], phases[:, 1, 1])


def test_a_part_is_drawn_as_in_the_whole() -> None:
    drawing = one_wave(20, 0.25)
    whole = drawing.paint(0, Window.whole(90, 130))
    part = drawing.paint(0, Window(90, 130, slice(30, 70), slice(5, 99)))
    torch.testing.assert_close(part, whole[:, 30:70, 5:99])


def test_without_a_gradient_the_same_is_drawn(bank: TextureBank) -> None:
    feature, embedding = torch.randn(1, 16, 12, 12), torch.randn(1, 12, 4, 4)
    drawing = bank(feature, embedding, torch.randn(1, 3, 16), None, KEY)
    window = Window(70, 100, slice(3, 64), slice(10, 90))
    shown = drawing.paint(0, window)
    with torch.no_grad():
        torch.testing.assert_close(drawing.paint(0, window), shown, atol=1e-5, rtol=0)
    assert float(shown.detach().abs().max()) <= 1


def test_every_cell_has_one_texture_in_its_hue(bank: TextureBank) -> None:
    embedding, colours = torch.randn(1, 12, 4, 4), torch.randn(1, 3, 16)
    with torch.no_grad():
        bank.choice.weight.copy_(torch.eye(16)[:, :, None, None])
        assert bank.choice.bias is not None
        bank.choice.bias.zero_()
        bank.hues.zero_()
        feature = torch.zeros(1, 16, 16, 16)
        feature[:, 5, :, :8] = 100.0
        feature[:, 9, :, 8:] = 100.0
        drawing = bank(feature, embedding, colours, None, KEY)
        shown = drawing.paint(0, Window.whole(64, 64))
        hues = turn_hues(torch.tanh(colours).transpose(1, 2), KEY, bank.LABEL)[0]
        for texture, columns in ((5, slice(0, 32)), (9, slice(32, 64))):
            alone = Drawing(
                torch.ones(1, 1, 16, 16), drawing.vectors[texture : texture + 1],
                drawing.phases[:, texture : texture + 1], hues[None, texture : texture + 1],
            )  # fmt: skip
            expected = alone.paint(0, Window.whole(64, 64))[:, :, columns]
            torch.testing.assert_close(shown[:, :, columns], expected, atol=1e-5, rtol=0)


def test_gradients_reach_the_choice_and_the_hues(bank: TextureBank) -> None:
    feature = torch.randn(2, 16, 8, 8, requires_grad=True)
    colours = torch.randn(2, 3, 16, requires_grad=True)
    drawing = bank(feature, torch.randn(2, 12, 4, 4), colours, None, KEY)
    drawing.paint(1, Window.whole(40, 32)).square().sum().backward()
    for tensor in (feature, colours, bank.choice.weight, bank.log_sharpness, bank.hues):
        assert tensor.grad is not None and float(tensor.grad.abs().max()) > 0


def test_waves_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="3 periods make 12 waves, which do not divide 16"):
        TextureBank(channels=16, periods=(4, 5, 6))


def test_phases_follow_the_image_and_the_key_and_nothing_else() -> None:
    embedding = torch.randn(3, 12, 4, 4)
    together = image_phase(embedding, KEY, "x", 5)
    torch.testing.assert_close(together[1:2], image_phase(embedding[1:2], KEY, "x", 5))
    apart = (together[0] - together[1]).abs()
    assert float(torch.minimum(apart, 1 - apart).max()) > 0.05
    other = image_phase(embedding, Key.of_text("another"), "x", 5)
    assert not torch.allclose(together, other, atol=0.01)
    # Phases of many keys are spread over the whole turn: knowing the range says nothing.
    many = torch.stack([image_phase(embedding, Key.of_text(str(i)), "x", 1)[0] for i in range(200)])
    counts = torch.histc(many, bins=4, min=0, max=1)
    assert int(counts.min()) > 25


def test_a_key_turns_directions_periods_and_hues_within_their_ranges() -> None:
    table = TextureTable.of([(16.0, (0.25,), (0.3, -0.3, 1.0))] * 50)
    keyed = table.keyed(KEY, "x")
    y, x = keyed.vectors[:, 0].unbind(1)
    periods = UNITS / torch.hypot(y, x) / 16
    angles = torch.atan2(y, x) / (2 * math.pi) - 0.125
    assert (
        1 - KEY_PERIOD
        <= float(periods.min())
        < 0.97
        < 1.03
        < float(periods.max())
        <= 1 + KEY_PERIOD
    )
    assert KEY_DIRECTION / 2 < float(angles.abs().max()) <= KEY_DIRECTION + 1e-6
    assert torch.equal(keyed.vectors, table.keyed(KEY, "x").vectors)
    assert not torch.equal(keyed.vectors, table.keyed(Key.of_text("b"), "x").vectors)
    hues = turn_hues(table.hues[None], KEY, "x")[0]
    assert torch.equal(hues[:, 2], torch.ones(50)) and float(hues.abs().max()) <= 1
    assert 0.01 < float((hues - table.hues).abs().max()) < 0.12


def test_codes_differ_in_hue_direction_or_period() -> None:
    book = Codebook(embed_dim=12, periods=PERIODS)
    count = len(book.vectors)
    embedding = torch.randn(1, 12, 4, 4).expand(count, -1, -1, -1)
    drawing = book(embedding, torch.arange(1, 1 + count), 32, KEY)
    noise = torch.stack([drawing.paint(i, Window.whole(128, 128)) for i in range(count)])
    # What tells hues apart is red against green, which all photographs have less of.
    features = torch.cat([noise[:, 2:], 3 * (noise[:, :1] - noise[:, 1:2])], dim=1).flatten(1)
    alike = torch.corrcoef(features) - torch.eye(count)
    assert float(alike.abs().max()) < 0.6


def test_a_code_names_the_same_texture_in_every_image_but_for_its_phase() -> None:
    torch.manual_seed(0)
    book = Codebook(embed_dim=12, periods=PERIODS)
    embedding = torch.randn(2, 12, 4, 4)
    drawing = book(embedding, torch.tensor([5, 5]), 32, KEY)
    first, second = (drawing.paint(i, Window.whole(256, 256)) for i in range(2))
    assert float((first - second).abs().max()) > 0.5
    spectra = [torch.fft.rfft2(one[2]).abs() for one in (first, second)]
    peaks = [int(spectrum.flatten().argmax()) for spectrum in spectra]
    assert peaks[0] == peaks[1]
    again = book(embedding[:1], torch.tensor([5 + len(book.vectors)]), 32, KEY)
    torch.testing.assert_close(again.paint(0, Window.whole(256, 256)), first)


def test_without_classes_like_parts_of_images_get_like_textures() -> None:
    torch.manual_seed(0)
    book = Codebook(embed_dim=12, periods=(16.0,))
    book.centres.copy_(torch.randn(len(book.centres), 12))
    layout = torch.tensor([[3, 3, 7, 7]] * 2 + [[0, 0, 5, 5]] * 2)
    embedding = (book.centres[layout] + 0.01 * torch.randn(4, 4, 12)).permute(2, 0, 1)[None]
    assert torch.equal(book.nearest(embedding, 4)[0], layout)
    window = Window.whole(64, 64)
    shown = book(embedding, torch.tensor([BY_LOOK]), 32, KEY).paint(0, window)
    for entry, rows, columns in ((3, 0, 0), (7, 0, 32), (0, 32, 0), (5, 32, 32)):
        here = (slice(None), slice(rows, rows + 32), slice(columns, columns + 32))
        alone = book(embedding, torch.tensor([1 + entry]), 32, KEY).paint(0, window)
        torch.testing.assert_close(shown[here], alone[here])


def test_a_mask_of_the_whole_image_leaves_the_texture_to_the_image() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    config = HeadConfig(width=8, textures=(64.0,), codebook=(64.0,))
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
    with torch.no_grad():
        embedding = base.encode(letterbox(image[None], 64)[0]).embedding
        for found, code in ((by_look, BY_LOOK), (coded, 3)):
            named = book(embedding, torch.tensor([code]), generator.grid, generator.key)
            torch.testing.assert_close(found, named.paint(0, Window.whole(64, 64)))
    assert not torch.allclose(learned, by_look, atol=0.1)


def test_another_key_is_another_noise() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    generator = NoiseGenerator(base, HeadConfig(width=8, textures=(64.0,))).eval()
    image, mask = torch.rand(3, 64, 64) * 255, torch.ones(1, 64, 64, dtype=torch.bool)
    mask[:, 40:] = False
    public = generator.noise(image, mask)
    generator.key = Key.of_text("mine")
    mine = generator.noise(image, mask)
    assert torch.equal(mine, generator.noise(image, mask))
    alike = torch.corrcoef(torch.stack([public.flatten(), mine.flatten()]))[0, 1]
    assert abs(float(alike)) < 0.8


def test_without_background_noise_stays_inside_the_prompt() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    head = HeadConfig(width=8, textures=(64.0,), codebook=(64.0,), background=False)
    generator = NoiseGenerator(base, head).eval()
    masks = torch.zeros(2, 48, 64, dtype=torch.bool)
    masks[0, 10:30, 5:40], masks[1, 30:, 50:] = True, True
    for mask, noise in zip(
        masks, generator.noise(torch.rand(3, 48, 64) * 255, masks, [0, 2]), strict=True
    ):
        assert bool(noise[:, mask].any()) and not noise[:, ~mask].any()
