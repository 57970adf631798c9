"""Letterboxing for images of any size and aspect."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unseg.models.geometry import (
    PIXEL_MEAN,
    PIXEL_STD,
    Frame,
    letterbox,
    letterbox_mask,
    unletterbox,
)

sides = st.integers(1, 300)
sizes = st.sampled_from([64, 128])


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides, size=sizes)
def test_letterbox_keeps_a_constant_and_pads_with_zeros(height: int, width: int, size: int) -> None:
    values, frame = letterbox(torch.full((2, 3, height, width), 200.0), size)
    rows, columns = frame.scaled
    assert values.shape == (2, 3, size, size)
    assert max(rows, columns) == size
    assert abs(rows - height * frame.scale) <= 0.5 or rows == 1
    assert abs(columns - width * frame.scale) <= 0.5 or columns == 1
    expected = (200 - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    content = values[..., :rows, :columns]
    torch.testing.assert_close(content, expected.view(3, 1, 1).expand_as(content))
    assert values[..., rows:, :].abs().sum() == 0
    assert values[..., :, columns:].abs().sum() == 0


@settings(max_examples=60, deadline=None)
@given(height=sides, width=sides, size=sizes)
def test_unletterbox_returns_the_images_size_and_ignores_the_padding(
    height: int, width: int, size: int
) -> None:
    frame = Frame(height, width, size)
    rows, columns = frame.scaled
    grid = torch.full((1, 2, size // 4, size // 4), 1e6)
    grid[..., : -(-rows // 4), : -(-columns // 4)] = 0.25
    result = unletterbox(grid, frame)
    assert result.shape == (1, 2, height, width)
    torch.testing.assert_close(result, torch.full_like(result, 0.25))


@settings(max_examples=40, deadline=None)
@given(height=sides, width=sides, size=sizes)
def test_letterbox_mask_covers_exactly_the_image(height: int, width: int, size: int) -> None:
    cells = letterbox_mask(torch.ones(1, 1, height, width, dtype=torch.bool), size, size // 4)
    rows, columns = Frame(height, width, size).scaled
    assert cells.shape == (1, 1, size // 4, size // 4)
    assert float(cells.max()) <= 1 + 1e-6
    assert float(cells.sum()) * 16 == pytest.approx(rows * columns, rel=1e-5)


def test_a_position_survives_the_round_trip() -> None:
    """A ramp over the model's square must read as a ramp over the image, without a shift."""
    frame = Frame(100, 171, 128)
    axis = (torch.arange(32) + 0.5) * 4 * 171 / 128
    ramp = unletterbox(axis.expand(1, 1, 32, 32), frame)[0, 0, 50]
    inner = slice(5, 165)
    torch.testing.assert_close(ramp[inner], (torch.arange(171) + 0.5)[inner], atol=0.3, rtol=0)


def test_gradients_reach_the_image_and_the_grid() -> None:
    image = torch.rand(1, 3, 40, 70, requires_grad=True)
    values, frame = letterbox(image, 64)
    values.sum().backward()
    grid = torch.rand(1, 3, 16, 16, requires_grad=True)
    unletterbox(grid, frame).sum().backward()
    assert image.grad is not None and bool((image.grad > 0).all())
    assert grid.grad is not None
    assert float(grid.grad.sum()) == pytest.approx(3 * 40 * 70, rel=1e-4)


def test_what_cannot_be_letterboxed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Frame(0, 10, 64)
    with pytest.raises(ValueError, match="grid 48 does not divide"):
        letterbox_mask(torch.ones(1, 1, 8, 8), 64, 48)
