"""Boxes from files, masks drawn from them, and the command that does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noise_stub import photo
from unseg.errors import UnsegError
from unseg.masks.annotations import read_annotations
from unseg.masks.boxes import Boxes
from unseg.masks.labels import read_label_map
from unseg.models.propose import masks_of_boxes

Cli = Callable[..., tuple[int, str, str]]


def coco(path: Path, annotations: list[dict[str, Any]], names: list[str]) -> Path:
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def box(image: int, category: int, *bbox: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": bbox}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs of 60 x 40, one of them in a folder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        Image.fromarray(photo(seed=seed)).save(folder / name)
    return folder


def test_coco_and_yolo_say_the_same(tmp_path: Path) -> None:
    file = coco(
        tmp_path / "boxes.json",
        [box(0, 7, 6, 4, 12, 8), box(0, 3, 30, 20, 15, 10), box(1, 7, 0, 0, 60, 40)],
        ["a.png", "sub/c.png"],
    )
    folder = tmp_path / "labels"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("1 0.2 0.2 0.2 0.2\n\n0 0.625 0.625 0.25 0.25\n")
    (folder / "sub" / "c.txt").write_text("1 0.5 0.5 1 1")
    (folder / "classes.txt").write_text("one\ntwo")
    for place, suffix, scale in ((file, ".png", (1, 1)), (folder, ".txt", (60, 40))):
        found = read_annotations(place).images
        assert set(found) == {f"a{suffix}", f"sub/c{suffix}"}
        shapes = found[f"a{suffix}"].shapes
        corners = [np.array(shape.box) * [*scale, *scale] for shape in shapes]
        np.testing.assert_allclose(corners, [[6, 4, 18, 12], [30, 20, 45, 30]], atol=1e-4)
        assert [shape.label for shape in shapes] == [2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a COCO file of boxes"),
        ('{"images": [], "annotations": []}', "has no box or outline"),
        ('{"images": [{"id": 1}], "annotations": []}', "image 1 has no id or no file_name"),
        ('{"images": [], "annotations": [{"bbox": [1, 1, 2, 2]}]}', "annotation 1 has no image_id"),
        ('[{"image_id": 1, "bbox": [1, 1, 2, 2], "score": 1}]', "is a list of detections"),
        ('{"images": [{"id": 0, "file_name": "a"}], "annotations": '
         '[{"id": 7, "image_id": 0, "bbox": [1, 2]}]}', "annotation 7 has a bbox of 2 numbers"),
        ('{"images": [{"id": 0, "file_name": "a"}], "annotations": [{"id": 7, "image_id": 0, '
         '"segmentation": {"size": [4, 4], "counts": [3, 4]}}]}',
         "annotation 7 has runs of 7 pixels in a mask of 4x4"),
        ('{"images": [{"id": 0, "file_name": "a"}], "annotations": '
         '[{"image_id": 0, "category_id": 1, "bbox": [1, 1, NaN, 2]}]}', "not finite"),
    ],
)  # fmt: skip
def test_wrong_coco_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(UnsegError, match=message):
        read_annotations(tmp_path / "boxes.json")


def test_wrong_boxes_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n0 0.5 0.5\n")
    with pytest.raises(UnsegError, match=r"a\.txt, line 2 is '0 0.5 0.5': expected class, x, y"):
        read_annotations(tmp_path)
    (tmp_path / "a.txt").write_text("0 152 126 112 132")
    with pytest.raises(UnsegError, match="which is in pixels: expected class"):
        read_annotations(tmp_path)
    with pytest.raises(UnsegError, match="box 1 covers no pixel of the 60x40 image"):
        Boxes(np.array([[1.5, 0.5, 1.6, 0.6]]), np.ones(1, np.int32), True, "a").in_pixels(60, 40)
    with pytest.raises(UnsegError, match=r"expected a COCO file ending in \.json"):
        read_annotations(tmp_path / "none")


def test_masks_are_drawn_as_the_target_asks(cli: Cli, photos: Path, tmp_path: Path) -> None:
    boxes = coco(
        tmp_path / "boxes.json",
        [box(0, 7, 6, 4, 12, 8), box(0, 3, 30, 20, 15, 10), box(1, 7, 0, 0, 20, 40)],
        ["a.png", "sub/c.png"],
    )
    expected = {"union": {0, 255}, "class": {0, 1, 2}, "instance": {0, 1, 2}}
    for target, values in expected.items():
        out = tmp_path / target
        code, text, err = cli("masks", photos, "-o", out, "--boxes", boxes, "--target", target)
        assert code == 0, err
        assert "2 masks" in text and "1 images have no box" in text
        found = read_label_map(out / "a.png")
        assert set(np.unique(found.values)) == values and found.wide == (target == "instance")
        assert (found.values[4:12, 6:18] > 0).all() and (found.values > 0).sum() == 96 + 150
        assert not (out / "b.png").exists() and (out / "sub" / "c.png").exists()
    # What was drawn is what is protected.
    code, text, err = cli(
        "protect", photos / "a.png", "-o", tmp_path / "out", "--masks", tmp_path / "union", "--json"
    )
    assert code == 0 and json.loads(text)["totals"]["mask_sources"] == {"file": 1}, err


def test_classes_that_eight_bits_cannot_hold_are_written_in_sixteen(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels").mkdir()
    for label in (253, 254, 400):
        (tmp_path / "labels" / "a.txt").write_text(f"{label} 0.5 0.5 0.5 0.5")
        line = ("masks", photos, "-o", tmp_path / "out", "--boxes", tmp_path / "labels")
        code, _, err = cli(*line, "--target", "class", "--overwrite")
        assert code == 0, err
        found = read_label_map(tmp_path / "out" / "a.png")
        assert set(np.unique(found.values)) == {0, label + 1} and found.wide == (label > 253)


def test_a_run_without_masks_says_what_would_help(cli: Cli, photos: Path, tmp_path: Path) -> None:
    code, text, _ = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 0 and "3 images had no mask from you" in text and "unseg masks" in text
    cli("masks", photos, "-o", tmp_path / "masks")
    code, text, _ = cli("protect", photos, "-o", tmp_path / "again", "--masks", tmp_path / "masks")
    assert code == 0 and "no mask from you" not in text


def test_without_boxes_masks_are_proposed(cli: Cli, photos: Path, tmp_path: Path) -> None:
    code, text, _ = cli("masks", photos, "-o", tmp_path / "out")
    assert code == 0 and "3 masks" in text
    mask = read_label_map(tmp_path / "out" / "b.png").values
    assert set(np.unique(mask)) == {0, 255}
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*.png")}
    (photos / "a.png").write_bytes(b"damaged")
    code, _, err = cli("masks", photos, "-o", tmp_path / "out")
    assert code == 1 and "exists already: use --overwrite" in err
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*.png")} == before
    code, text, err = cli("masks", photos, "-o", tmp_path / "out", "--overwrite")
    assert code == 1 and "a.png is not an image" in err and "2 masks" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "class"], "--target class needs --boxes"),
        (["--boxes", "nowhere.json"], "expected a COCO file"),
    ],
)
def test_wrong_use_starts_nothing(
    cli: Cli, photos: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    code, _, err = cli("masks", photos, "-o", tmp_path / "out", *options)
    assert code == 2 and message in err and not (tmp_path / "out").exists()


def test_boxes_of_other_images_start_nothing(cli: Cli, photos: Path, tmp_path: Path) -> None:
    boxes = coco(tmp_path / "boxes.json", [box(0, 1, 0, 0, 9, 9)], ["other.png"])
    code, _, err = cli("masks", photos, "-o", tmp_path / "out", "--boxes", boxes)
    assert code == 2 and "has no box for any of the 3 images" in err


def test_the_shipped_base_finds_what_lies_in_a_box() -> None:
    from unseg.models.registry import load_generator

    image = torch.full((3, 120, 160), 60.0)
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    discs = [(rows - 60) ** 2 + (columns - x) ** 2 < 25**2 for x in (45, 115)]
    for disc, colour in zip(discs, ((220.0, 60.0, 40.0), (40.0, 90.0, 220.0)), strict=True):
        image[:, disc] = torch.tensor(colour)[:, None]
    boxes = torch.tensor([[20.0, 35, 70, 85], [90.0, 35, 140, 85]])
    found = masks_of_boxes(load_generator().base, image, boxes)
    for number, disc in enumerate(discs, 1):
        here = found == number
        assert float((here & disc).sum() / (here | disc).sum()) > 0.9
        left, top, right, bottom = boxes[number - 1].int().tolist()
        outside = torch.ones_like(here)
        outside[top:bottom, left:right] = False
        assert not (here & outside).any()
