"""Data sets as owners have them: odd annotation files, names and sizes, read, said or refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import layouts
from dataset_layouts import SETS, coco, outline, pairs, yolo
from layouts import HEIGHT, WIDTH, ellipse, photograph, save
from unseg.datasets.layouts import open_layout
from unseg.datasets.mentions import Names, rewrite_text
from unseg.datasets.outlines import mask_of_polygons, mask_of_rle
from unseg.errors import UnsegError
from unseg.protect.manifest import Manifest

Cli = Callable[..., tuple[int, str, str]]


def one_image(root: Path, change: Callable[[dict[str, Any]], None] = lambda body: None) -> Path:
    """A photograph and a COCO file with one outline and box."""
    save(photograph(0), root / "images" / "a.jpg")
    mask = ellipse(0)
    rows, columns = np.nonzero(mask)
    box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    body = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 3, "iscrowd": 0, "bbox": box,
             "segmentation": [outline(mask).ravel().tolist()]}
        ],
        "categories": [{"id": 3, "name": "cell"}],
    }  # fmt: skip
    change(body)
    (root / "annotations.json").write_text(json.dumps(body))
    return root


def share(out: Path) -> float:
    (record,) = Manifest(out).read()[0]
    assert record.foreground_share is not None
    return record.foreground_share


@pytest.mark.parametrize(
    "file_name",
    ["images/a.jpg", "/data/set/images/a.jpg", "C:\\data\\a.jpg", "https://x.example/a.jpg?sig=1"],
)
def test_coco_names_of_other_machines(file_name: str, cli: Cli, tmp_path: Path) -> None:
    root = one_image(tmp_path / "in", lambda body: body["images"][0].update(file_name=file_name))
    code, text, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 0, text + err
    body = json.loads((tmp_path / "out/annotations.json").read_text())
    assert body["images"][0]["file_name"] == file_name.replace(".jpg", ".png")


def test_coco_without_outline_takes_the_box(cli: Cli, tmp_path: Path) -> None:
    root = one_image(tmp_path / "in", lambda body: body["annotations"][0].update(segmentation=[]))
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    body = json.loads((root / "annotations.json").read_text())
    _, _, width, height = body["annotations"][0]["bbox"]
    assert share(tmp_path / "out") == pytest.approx(width * height / (WIDTH * HEIGHT), rel=0.01)


def test_coco_of_another_size(cli: Cli, tmp_path: Path) -> None:
    def halved(body: dict[str, Any]) -> None:
        body["images"][0] |= {"width": WIDTH // 2, "height": HEIGHT // 2}
        outline = body["annotations"][0]["segmentation"]
        outline[0] = [value / 2 for value in outline[0]]

    code, text, _ = cli("dataset", one_image(tmp_path / "in", halved), "-o", tmp_path / "out")
    assert code == 3 and "says 32x24 but the image is 64x48: scaled" in text
    assert share(tmp_path / "out") == pytest.approx(ellipse(0).mean(), rel=0.1)

    def turned(body: dict[str, Any]) -> None:
        body["images"][0] |= {"width": HEIGHT, "height": WIDTH}

    code, _, err = cli("dataset", one_image(tmp_path / "in2", turned), "-o", tmp_path / "out2")
    assert code == 1 and "is 48x64 but the file is 64x48" in err and "EXIF" in err


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda body: body["annotations"][0].pop("category_id"), 2, "annotation 7 cannot be read"),
        (lambda body: body["annotations"][0].update(category_id=8), 2, "annotation 7 cannot be"),
        (lambda body: body["annotations"].append({"id": 8, "image_id": 9, "category_id": 3}), 3,
         "1 annotations of images that it does not list (first: 8)"),
        (lambda body: body["images"].append({"id": 2, "file_name": "gone.jpg"}), 3,
         "lists 1 images that are not there (first: gone.jpg)"),
        (lambda body: body["annotations"].append({"id": 8, "image_id": 1, "category_id": 3}), 3,
         "annotation 8 has neither outline nor box"),
        (lambda body: body["annotations"].clear(), 2, "nothing to protect"),
        (lambda body: body["annotations"][0].update(segmentation={"size": [2, 2], "counts": [4]}),
         1, "annotation 7 cannot be read"),
        (lambda body: body["annotations"][0].update(
            segmentation={"size": [HEIGHT, WIDTH], "counts": "\x7f"}), 1, "annotation 7 cannot be"),
        (lambda body: body.pop("categories"), 0, ""),
    ],
)  # fmt: skip
def test_odd_coco_files(
    change: Callable[[dict[str, Any]], None], code: int, message: str, cli: Cli, tmp_path: Path
) -> None:
    found, text, err = cli("dataset", one_image(tmp_path / "in", change), "-o", tmp_path / "out")
    assert found == code, text + err
    assert message in " ".join((text + err).split())


def test_a_json_that_is_no_utf8_is_named(cli: Cli, tmp_path: Path) -> None:
    root = one_image(tmp_path / "in")
    text = (root / "annotations.json").read_text()
    (root / "annotations.json").write_text(text, encoding="utf-16")
    code, _, err = cli("dataset", root, "--dry-run")
    assert code == 2 and "save it as UTF-8" in err
    (root / "annotations.json").write_text(text, encoding="utf-8-sig")
    assert cli("dataset", root, "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 32 24 20 20", "not pixels"),
        ("0,0.5,0.5,0.1,0.1", "neither a box nor a polygon"),
        ("0 0.5 0.5 nan 0.1", "neither a box nor a polygon"),
        ("-1 0.5 0.5 0.1 0.1", "neither a box nor a polygon"),
    ],
)
def test_odd_yolo_lines(line: str, message: str, cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in", outlines=False)
    (root / "labels/train/0000.txt").write_text(line + "\n")
    code, _, err = cli("dataset", root, "--dry-run")
    assert code == 2 and message in err and "0000.txt line 1" in err


@pytest.mark.parametrize(
    ("layout", "file", "before", "after", "message"),
    [
        ("voc", "ImageSets/Segmentation/train.txt", b"2007", b"\xff07", "save it as UTF-8"),
        ("voc", "Annotations/2007_000000.xml", b"<object>", b"<obj", ""),
        ("coco", "annotations/instances_train2017.json", b'"id": 0,', b'"id": [0],',
         "is not a number"),
        ("coco-panoptic", "annotations/panoptic_train2017.json", b'"annotations": [',
         b'"annotations": [7, ', "cannot be read"),
        ("yolo-seg", "data.yaml", b"names:", b"names: [", "cannot be read as YAML"),
        ("yolo-seg", "data.yaml", b"  0: nucleus", b"  a: nucleus", "names is neither"),
        ("labelme", "0000.json", b'"shapes": [', b'"shapes": 3, "other": [',
         "shapes is not a list"),
        ("labelme", "0001.json", b'{', b'', "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_damaged_annotations_are_named(
    layout: str, file: str, before: bytes, after: bytes, message: str, cli: Cli, tmp_path: Path
) -> None:
    root = SETS[layout](tmp_path / "in")
    data = (root / file).read_bytes()
    assert before in data
    (root / file).write_bytes(data.replace(before, after, 1))
    code, text, err = cli("dataset", root, "--dry-run", "--layout", layout)
    assert "Traceback" not in text + err
    assert code == (2 if message else 0) and message in err
    if message:
        assert Path(file).name in err


def test_one_name_in_two_splits_is_not_confused(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "in"
    for split in ("train", "val"):
        for n in range(2):
            save(photograph(n + 10 * (split == "val")), root / split / "images" / f"{n}.jpg")
            save(ellipse(n).astype(np.uint8) * 255, root / split / "masks" / f"{n}.png")
        (root / split / "list.txt").write_text("images/0.jpg\nimages/1.jpg\n")
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/train/list.txt").read_text() == "images/0.png\nimages/1.png\n"
    assert (tmp_path / "out/val/list.txt").read_text() == "images/0.jpg\nimages/1.jpg\n"
    (root / "all.txt").write_text("0.jpg\n")
    code, _, err = cli("dataset", root, "-o", tmp_path / "other")
    assert not (tmp_path / "other").exists(), "refused before anything is written"
    assert code == 2 and "all.txt mentions 0.jpg" in err and "--format same" in err
    assert cli("dataset", root, "-o", tmp_path / "same", "--format", "same")[0] == 0


def test_lossless_kinds_keep_their_names(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "in"
    for n, kind in enumerate(("PNG", "webp")):
        (root / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(n)).save(root / f"images/{n}.{kind}", lossless=True)
        save(ellipse(n).astype(np.uint8), root / f"masks/{n}.png")
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    assert [one.output for one in Manifest(tmp_path / "out").read()[0]] == [
        "images/0.PNG", "images/1.webp",
    ]  # fmt: skip
    with Image.open(tmp_path / "out/images/1.webp") as image:
        assert image.format == "WEBP"


def test_wide_maps_number_objects(tmp_path: Path) -> None:
    save(photograph(0), tmp_path / "images/a.jpg")
    numbers = np.zeros((HEIGHT, WIDTH), np.uint16)
    numbers[ellipse(0, 0)], numbers[ellipse(0, 1)] = 1, 300
    save(numbers, tmp_path / "masks/a.png")
    one = open_layout(tmp_path).annotation("images/a.jpg", (WIDTH, HEIGHT))
    assert one is not None and one.objects is not None
    assert np.unique(one.labels).tolist() == [0, 1]
    assert np.unique(one.objects).tolist() == [0, 1, 300]


def test_classes_that_fill_the_image_share_the_rule_of_folders(cli: Cli, tmp_path: Path) -> None:
    root = layouts.voc(tmp_path / "in")
    (root / "labels.txt").write_text("".join(f"class {i}\n" for i in range(16)))
    code, text, err = cli("dataset", root, "-o", tmp_path / "out", "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["settings"]["target"] == "class"
    assert "class 0" in found["dataset"]["protected_classes"]
    records, _ = Manifest(tmp_path / "out").read()
    assert all((one.foreground_share or 0) > 0.99 for one in records)


def test_a_link_that_leads_nowhere_is_named(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    try:
        (root / "link.txt").symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("this system makes no links")
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 2 and "link.txt is not a file" in err


def test_hidden_and_empty_files_are_copied(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    (root / ".hidden").mkdir()
    (root / ".hidden/notes").write_text("")
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out/.hidden/notes").read_bytes() == b""
    assert cli("verify", tmp_path / "out", "--originals", root)[0] == 0
    (tmp_path / "out/.hidden/notes").unlink()
    code, text, _ = cli("verify", tmp_path / "out")
    assert code == 1 and "the copied file is missing" in text


def test_mentions_in_every_kind_of_text() -> None:
    names = Names(["train/images/a.jpg", "val/images/b.jpg"])
    renamed = {"train/images/a.jpg": "train/images/a.png"}
    for before, after in (
        ("a.jpg b.jpg", "a.png b.jpg"),
        ('{"x": "a.jpg"}', '{"x": "a.png"}'),
        ("<f>images/a.jpg</f>", "<f>images/a.png</f>"),
        ("/home/me/train/images/a.jpg,1", "/home/me/train/images/a.png,1"),
        ('"..\\\\images\\\\a.jpg"', '"..\\\\images\\\\a.png"'),
        ("aa.jpg a.jpg.bak a.jpgx", "aa.jpg a.jpg.bak a.jpgx"),
        ("the image a.jpg\r\n", "the image a.png\r\n"),
    ):
        assert rewrite_text(before, "train/list.txt", names, renamed) == after


def test_outlines_refuse_what_is_none() -> None:
    assert not mask_of_polygons([[1, 1, 5, 5]], (8, 8)).any()
    assert not mask_of_polygons([[20, 20, 30, 20, 30, 30]], (8, 8)).any()
    assert mask_of_polygons([[-5, -5, 50, -5, 50, 50, -5, 50]], (8, 8)).all()
    for wrong in ([1, 2, 3], [1, 2, float("nan"), 4, 5, 6]):
        with pytest.raises(ValueError):
            mask_of_polygons([wrong], (8, 8))
    with pytest.raises(ValueError, match="its runs hold 3 pixels"):
        mask_of_rle({"size": [2, 2], "counts": [1, 2]})


def test_the_kinds_in_the_cases_folder(cli: Cli, tmp_path: Path) -> None:
    """Every annotation file of the folder: read, said or refused; never a traceback."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "cases"
    cases = Path(os.environ.get("UNSEG_CASES", beside)) / "boxes"
    if not cases.is_dir():
        pytest.skip("UNSEG_CASES is not set and shared/cases/ is not beside the checkout")
    for file in (*sorted(cases.glob("*.json")), *sorted(cases.glob("y_*"))):
        root, out = tmp_path / file.name / "in", tmp_path / file.name / "out"
        shutil.copytree(cases / "in", root / "images")
        if file.is_dir():
            shutil.copytree(file, root / "labels")
        elif file.stem == "labelme":
            shutil.copy(file, root / "images" / "a.json")
        else:
            shutil.copy(file, root / "annotations.json")
        code, text, err = cli("dataset", root, "-o", out)
        assert code in (0, 1, 2, 3) and "Traceback" not in text + err, file
        if code in (0, 3):
            assert Manifest(out).read()[0][0].foreground_share, file
            assert cli("verify", out, "--originals", root)[0] == 0, file


def test_an_unknown_layout_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match="is not a folder"):
        open_layout(tmp_path / "gone")
    coco(tmp_path / "in")
    code, _, err = cli("dataset", tmp_path / "in", "--dry-run", "--layout", "nowhere:Mine")
    assert code == 2 and "cannot be imported" in err
    code, text, err = cli(
        "dataset", tmp_path / "in", "--dry-run", "--layout", "unseg.datasets.coco:Coco"
    )
    assert code == 0 and "coco" in text, err
