"""The demo, with a stand-in for the generator: photographs, protection, check and pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from unseg.cli import demo as module
from unseg.cli.main import app
from unseg.images.photo import Photo
from unseg.masks.labels import LabelMap
from unseg.masks.sources import Found, MaskSource
from unseg.masks.sources.proposed import ProposedMask
from unseg.masks.sources.salient import SalientMask
from unseg.models import loaded


class Stripes:
    """Horizontal stripes."""

    model_id = "stripes"
    sha256 = "0" * 64

    def noise(self, image: Tensor, masks: Tensor, codes=None) -> Tensor:
        rows = torch.arange(image.shape[1]) // 4 % 2 * 2.0 - 1
        return rows[None, None, :, None].expand(len(masks), *image.shape)


class Middle(MaskSource):
    """The middle third of every image."""

    name, summary, nothing = "middle", "the middle third", "nothing in the middle"

    def find(self, photo: Photo, name: str) -> Found | None:
        width, height = photo.size
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 3 : 2 * width // 3] = 1
        return Found(LabelMap(mask))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "load_generator", lambda *names: Stripes())
    monkeypatch.setattr(SalientMask, "load", classmethod(lambda cls, models: Middle()))
    monkeypatch.setattr(ProposedMask, "load", classmethod(lambda cls, models: None))


def test_the_demo_protects_verifies_and_draws(stand_in: None, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    for _ in range(2):  # a second run replaces the first
        done = CliRunner().invoke(app, ["demo", "-o", str(out)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    count = len(module.PHOTOGRAPHS)
    assert count >= 6
    assert "0 problems" in done.output and "seconds per image" in done.output
    for name in ("originals", "protected", "panels", "contact-sheet.png"):
        assert str(out / name) in done.output
    lines = (out / "protected" / "unseg-manifest.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == count and all(record["within_budget"] for record in records)
    panels = sorted((out / "panels").glob("*.png"))
    assert len(panels) == count
    with Image.open(out / "contact-sheet.png") as sheet:
        heights = [len(np.asarray(Image.open(path))) for path in panels]
        assert sheet.height == sum(heights) + count - 1


def test_the_photographs_are_real_and_copied_byte_for_byte(tmp_path: Path) -> None:
    import skimage

    module.copy_photographs(tmp_path)
    source = Path(skimage.__file__).parent / "data"
    for photograph in module.PHOTOGRAPHS:
        copied = (tmp_path / photograph.file).read_bytes()
        original = (source / photograph.file).read_bytes()
        assert hashlib.sha256(copied).digest() == hashlib.sha256(original).digest()
        with Image.open(tmp_path / photograph.file) as image:
            assert min(image.size) >= 300 and np.asarray(image).std() > 10
        assert photograph.title.isascii(), "Pillow's default font draws no other letters"
        assert photograph.licence in {"CC0", "public domain"}


def test_without_scikit_image_the_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    with pytest.raises(module.UnsegError, match=r"pip install 'unseg\[demo\]'"):
        module.copy_photographs(tmp_path)
    assert not list(tmp_path.iterdir())
