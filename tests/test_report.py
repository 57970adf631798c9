"""Panels show what they are given; tables hold the right figures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unseg.errors import UnsegError
from unseg.evaluate.results import Result
from unseg.report.panels import COLUMN, GAP, LABEL, MARGIN, amplified, contact_sheet, panel
from unseg.report.tables import retention_table


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before = np.full((120, 180, 3), 100, dtype=np.uint8)
    mask = np.zeros((120, 180), dtype=bool)
    mask[:, :90] = True
    after = before.copy()
    after[mask] += 4
    after[~mask] -= 2
    return before, after, mask


def test_noise_is_amplified_around_grey_and_clipped() -> None:
    before, after, _ = pictures()
    shown = amplified(before, after, 16)
    assert shown[0, 0, 0] == 128 + 64 and shown[0, -1, 0] == 128 - 32
    assert amplified(before, after, 100).max() == 255


def test_a_panel_has_four_columns_with_the_right_contents() -> None:
    before, after, mask = pictures()
    sheet = panel(before, after, mask)
    assert sheet.width == 2 * MARGIN + 4 * COLUMN + 3 * GAP

    def inside(column: int, share: float) -> tuple[int, ...]:
        left = MARGIN + column * (COLUMN + GAP)
        pixel = sheet.getpixel((int(left + share * COLUMN), MARGIN + LABEL + 60))
        assert isinstance(pixel, tuple)
        return pixel

    assert inside(0, 0.2) == inside(0, 0.8) == (100,) * 3
    assert (inside(1, 0.2), inside(1, 0.8)) == ((104,) * 3, (98,) * 3)
    assert (inside(2, 0.2), inside(2, 0.8)) == ((192,) * 3, (96,) * 3)
    assert (inside(3, 0.2), inside(3, 0.8)) == ((255,) * 3, (0,) * 3)
    labels = np.asarray(sheet)[MARGIN : MARGIN + LABEL]
    for column in range(4):
        left = MARGIN + column * (COLUMN + GAP)
        assert labels[:, left : left + COLUMN].min() < 160, "every column has a label"


def test_a_panel_takes_grey_and_tall_images() -> None:
    grey = Image.new("L", (50, 400), 90)
    sheet = panel(grey, grey, Image.new("L", grey.size, 255), title="tall")
    assert sheet.height < 600


def test_a_panel_refuses_other_sizes() -> None:
    before, after, mask = pictures()
    with pytest.raises(UnsegError, match="original is 180x120, the protected image 90x120"):
        panel(before, after[:, :90], mask)


def test_a_contact_sheet_holds_every_panel_in_order() -> None:
    tall, flat = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (60, 10), "blue")
    sheet = contact_sheet([tall, flat])
    assert sheet.size == (60, 41)
    assert sheet.getpixel((5, 5)) == (255, 0, 0) and sheet.getpixel((5, 35)) == (0, 0, 255)
    with pytest.raises(UnsegError, match="no panel"):
        contact_sheet([])


def result(condition: str, label: str, seed: int, value: float) -> Result:
    config = {
        "task": {"name": "person", "part": "test"}, "victim": {"name": "unet"},
        "condition": {"name": condition}, "defence": {"name": label, "label": label}, "seed": seed,
    }  # fmt: skip
    return Result("k", config, "iou", value, {"iou": value}, [], {}, {})


def test_the_table_has_means_spread_and_retention() -> None:
    results = [
        result("clean", "none", 0, 0.6), result("clean", "none", 1, 0.8),
        result("unseg", "none", 0, 0.1), result("unseg", "none", 1, 0.04),
        result("unseg", "jpeg75", 0, 0.35),
    ]  # fmt: skip
    text = retention_table(results, floor=0.55)
    assert "| training images | none | jpeg75 |" in text
    assert "| clean | 0.700 ± 0.141 (100%) | - |" in text
    assert "| unseg | 0.070 ± 0.042 (10%) | 0.350 (50%) |" in text
    assert "measures nothing" not in text
    assert "stays below 0.75: this victim measures nothing" in retention_table(results, 0.75)


def test_without_clean_there_is_no_retention() -> None:
    assert "| unseg | 0.100 |" in retention_table([result("unseg", "none", 0, 0.1)], 0.5)
