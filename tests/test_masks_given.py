"""Annotations given with ``--masks``, and classes by their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unseg
from noise_stub import photo
from unseg.errors import UnsegError
from unseg.masks.annotations.detect import are_annotations

Cli = Callable[..., tuple[int, str, str]]
CAR = [6, 4, 18, 4, 18, 12, 6, 12]
PERSON = [30, 20, 45, 20, 45, 30, 30, 30]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One photograph of 60 x 40."""
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo()).save(tmp_path / "photos" / "a.png")
    return tmp_path / "photos"


def _coco(tmp_path: Path) -> Path:
    objects = [
        {"id": i, "image_id": 0, "category_id": category, "segmentation": [corners]}
        for i, (category, corners) in enumerate(((7, CAR), (3, PERSON)), 1)
    ]
    body = {
        "images": [{"id": 0, "file_name": "a.png", "width": 60, "height": 40}],
        "categories": [{"id": 3, "name": "person"}, {"id": 7, "name": "car"}],
        "annotations": objects,
    }
    (tmp_path / "instances.json").write_text(json.dumps(body))
    return tmp_path / "instances.json"


def _yolo(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    folder.mkdir()
    lines = []
    for label, corners in ((1, CAR), (0, PERSON)):
        shares = np.array(corners, float).reshape(-1, 2) / [60, 40]
        lines.append(" ".join([str(label), *(f"{one:.6f}" for one in shares.ravel())]))
    (folder / "a.txt").write_text("\n".join(lines))
    (folder / "classes.txt").write_text("person\ncar\n")
    return folder


def _labelme(tmp_path: Path) -> Path:
    shapes = [
        {"label": label, "points": np.reshape(corners, (-1, 2)).tolist(), "shape_type": "polygon"}
        for label, corners in (("car", CAR), ("person", PERSON))
    ]
    body = {"imagePath": "a.png", "imageWidth": 60, "imageHeight": 40, "shapes": shapes}
    (tmp_path / "labelme").mkdir()
    (tmp_path / "labelme" / "a.json").write_text(json.dumps(body))
    return tmp_path / "labelme"


def _voc(tmp_path: Path) -> Path:
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{c[0]}</xmin><ymin>{c[1]}</ymin>"
        f"<xmax>{c[2]}</xmax><ymax>{c[5]}</ymax></bndbox></object>"
        for name, c in (("car", CAR), ("person", PERSON))
    )
    (tmp_path / "voc").mkdir()
    text = f"<annotation><filename>a.png</filename>{objects}</annotation>"
    (tmp_path / "voc" / "a.xml").write_text(text)
    return tmp_path / "voc"


def _save_mask(path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(path)


LAYOUTS = (_coco, _yolo, _labelme, _voc)


def _mask(out: Path) -> Any:
    return np.asarray(Image.open(out / "unseg-masks" / "a.png")) > 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_take_what_boxes_take(
    cli: Cli, photos: Path, tmp_path: Path, layout: Callable[[Path], Path]
) -> None:
    given = layout(tmp_path)
    records = []
    for option in ("masks", "boxes"):
        code, text, err = cli(
            "protect", photos, "-o", tmp_path / option, f"--{option}", given, "--json"
        )
        assert code == 0 and json.loads(text)["totals"]["mask_sources"] == {"boxes": 1}, err
        records.append((tmp_path / option / "a.png").read_bytes())
    assert records[0] == records[1]
    assert _mask(tmp_path / "masks")[5:11, 7:17].all()


@pytest.mark.parametrize("target", ["union", "class", "instance"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_classes_are_named(
    cli: Cli, photos: Path, tmp_path: Path, layout: Callable[[Path], Path], target: str
) -> None:
    given = layout(tmp_path)
    line = ("protect", photos, "--masks", given, "--target", target, "--classes")
    code, _, err = cli(*line, "person", "-o", tmp_path / "named")
    assert code == 0, err
    found = _mask(tmp_path / "named")
    assert found[21:29, 31:44].all() and not found[:18].any()
    # The number of the same class says the same; person is 2 where names are sorted.
    number = 1 if layout in (_coco, _yolo) else 2
    code, _, err = cli(*line, str(number), "-o", tmp_path / "numbered")
    assert code == 0, err
    output = [(tmp_path / name / "a.png").read_bytes() for name in ("named", "numbered")]
    assert output[0] == output[1]
    run = json.loads((tmp_path / "named" / "unseg-run.json").read_text())
    assert run["settings"]["classes"] == [number]


def test_wrong_names_start_nothing(cli: Cli, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    _save_mask(masks / "a.png")
    coco, yolo, voc = _coco(tmp_path), _yolo(tmp_path), _voc(tmp_path)
    (yolo / "classes.txt").unlink()
    cases: list[tuple[list[object], str]] = [
        (
            ["--masks", coco, "--classes", "cat"],
            "cat is no class of the masks: did you mean car? There are car, person",
        ),
        (["--masks", yolo, "--classes", "car"], "these have none"),
        (["--masks", masks, "--classes", "car"], "mask files have none"),
        (["--masks", masks, "--boxes", coco, "--classes", "car"], "mask files have none"),
        (["--masks", coco, "--classes", "car,"], "or names of classes"),
        (["--masks", coco, "--boxes", voc], "are both annotations: give one of them"),
        (["--masks", photos], "is the input folder itself"),
    ]
    for options, message in cases:
        code, _, err = cli("protect", photos, "-o", tmp_path / "out", *options)
        assert code == 2 and message in " ".join(err.split()), (options, err)
        assert not (tmp_path / "out").exists()
    with pytest.raises(UnsegError, match="names need annotations"):
        _ = unseg.Settings(classes=("car", 3)).rules
    assert unseg.Settings(classes=("car", "3", 1)).classes == (1, 3, "car")


def test_masks_and_annotations_in_one_folder_are_refused(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    for layout in (_yolo, _labelme, _voc):
        folder = layout(tmp_path)
        _save_mask(folder / "a.png")
        code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--masks", folder)
        assert code == 2 and "keep each in a folder of its own" in " ".join(err.split())
    # Beside masks, metadata and notes are no annotations.
    masks = tmp_path / "masks"
    masks.mkdir()
    _save_mask(masks / "a.png")
    (masks / "README.txt").write_text("drawn by hand")
    (masks / "a.png.aux.xml").write_text("<PAMDataset></PAMDataset>")
    (masks / "panoptic.json").write_text('{"images": [], "annotations": []}')
    assert not are_annotations(masks)
    code, text, err = cli("protect", photos, "-o", tmp_path / "o", "--masks", masks, "--json")
    assert code == 0 and json.loads(text)["totals"]["mask_sources"] == {"file": 1}, err


def test_annotations_inside_the_output_are_refused(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = _coco(tmp_path / "out")
    code, _, err = cli("protect", photos, "-o", tmp_path / "out", "--masks", given)
    assert code == 2 and "is inside the output folder" in " ".join(err.split())
