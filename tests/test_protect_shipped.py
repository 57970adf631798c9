"""The weights that ship, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image

from unseg import Budget, Protector


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, and its mask under masks/."""
    folder = tmp_path_factory.mktemp("portrait")
    source = Path(skimage.__file__).parent / "data" / "astronaut.png"
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    image = Image.open(source).convert("RGB").resize((320, 320))
    image.save(folder / "photos" / "astronaut.jpg", quality=95)
    mask = np.zeros((320, 320), np.uint8)
    cv2.ellipse(mask, (140, 190), (110, 180), 0, 0, 360, 255, -1)
    Image.fromarray(mask).save(folder / "masks" / "astronaut.png")
    return folder


@pytest.mark.parametrize("given", [True, False])
def test_command_line(portrait: Path, tmp_path: Path, given: bool, in_process) -> None:
    def command(*arguments: object) -> str:
        done = in_process(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    masks = ["--masks", portrait / "masks"] if given else []
    photos, out = portrait / "photos", tmp_path / "out"
    totals = json.loads(command("protect", photos, "-o", out, "--json", *masks))["totals"]
    assert totals["protected"] == 1 and totals["errors"] == 0
    assert totals["largest_change_inside"] <= 8 and totals["largest_change_outside"] <= 2
    before = np.asarray(Image.open(photos / "astronaut.jpg")).astype(int)
    after = np.asarray(Image.open(out / "astronaut.png")).astype(int)
    mask = np.asarray(Image.open(out / "unseg-masks" / "astronaut.png"))
    change = np.abs(after - before).max(axis=2)
    assert change[mask].max() <= 8 and change[~mask].max() <= 2
    # The noise is no shift of the whole image: inside it has a spread of its own.
    assert (after - before)[mask].std(axis=0).max() > 3
    assert json.loads(command("verify", out, "--originals", photos, "--json"))["problems"] == []


def test_python(portrait: Path) -> None:
    protector = Protector.from_pretrained(device="cpu")
    image = Image.open(portrait / "photos" / "astronaut.jpg")
    result = protector.protect(image, Image.open(portrait / "masks" / "astronaut.png"))
    again = protector.protect(image, result.mask)
    assert result.change.within(Budget()) and result.change.inside >= 4
    assert np.array_equal(np.asarray(result.image), np.asarray(again.image))
    assert result.psnr is not None and result.psnr > 30
