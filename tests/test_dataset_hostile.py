"""Data sets as others have them: large files, lists, links, packed copies, colours and names."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from dataset_layouts import SETS, coco, labelme, outline, pairs, panoptic, pixels, voc, yolo
from layouts import HEIGHT, WIDTH, ellipse, photograph, save
from unseg.datasets import cocofile
from unseg.datasets.layouts import open_layout
from unseg.datasets.mentions import Names, rewrite_text
from unseg.masks.annotations import read_annotations
from unseg.masks.annotations.outlined import OutlinedJson
from unseg.protect.manifest import Manifest

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "segmentation",
    ["[[1, 2.5,3e1,-4,5,6]]", "[ [1,2,3,4,5,6] ,\n[7,8,9,1,2,3] ]", "[]", "[[]]", "null", "7",
     '{"size": [2, 2], "counts": [1, 3]}', '{"size": [2, 2], "counts": "13"}', "[[1, null]]"],
)  # fmt: skip
def test_outlines_as_text_are_the_same(segmentation: str, tmp_path: Path) -> None:
    said = r"a \"segmentation\": [[1, 2]] and ä"
    text = f'{{"x": "{said}", "annotations": [{{"segmentation" : {segmentation}, "id": 1}}]}}'
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = OutlinedJson(path)
    expected = json.loads(text)
    assert found.body["x"] == expected["x"]
    one = found.body["annotations"][0]
    assert found.outline(one["segmentation"]) == expected["annotations"][0]["segmentation"]


def test_what_is_no_json_is_a_value_error(tmp_path: Path) -> None:
    for data in (b"", b"{", b"\xff\xfe{\0}\0", b'{"segmentation": [[1, 2}'):
        (tmp_path / "a.json").write_bytes(data)
        with pytest.raises(ValueError):
            OutlinedJson(tmp_path / "a.json")


def test_a_large_file_is_parsed_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco(tmp_path / "in")
    file = root / "annotations/instances_train2017.json"
    file.rename(root / "annotations/all.json")  # a name that does not say what it is
    parsed: list[str] = []

    class Counted(OutlinedJson):
        def __init__(self, path: Path) -> None:
            parsed.append(path.name)
            super().__init__(path)

    monkeypatch.setattr(cocofile, "OutlinedJson", Counted)
    monkeypatch.setattr(cocofile, "LARGE", 0)
    code, text, err = cli("dataset", root, "-o", tmp_path / "out", "--splits", "all")
    assert code == 0, text + err
    assert sorted(parsed) == sorted(set(parsed)) and "all.json" in parsed


def test_names_are_changed_however_a_file_writes_them(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in ("ä 1.jpg", "b.jpg"):
        save(photograph(0), root / "images" / name)
    body = {
        "images": [{"id": 1, "file_name": "ä 1.jpg"}, {"id": 2, "file_name": "images\\b.jpg"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "note": 'a "file_name": "b.jpg"',
             "segmentation": [outline(ellipse(0)).ravel().tolist()]} for i in (1, 2)
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }  # fmt: skip
    for ascii_only in (True, False):
        text = json.dumps(body, ensure_ascii=ascii_only)
        (root / "a.json").write_text(text)
        out = tmp_path / f"out{ascii_only}"
        assert cli("dataset", root, "-o", out)[0] == 0
        new = json.loads((out / "a.json").read_text())
        assert [one["file_name"] for one in new["images"]] == ["ä 1.png", "images\\b.png"]
        assert new["annotations"] == body["annotations"]
        assert (out / "a.json").read_text().isascii() == ascii_only
    (root / "a.json").write_text(
        json.dumps(body).replace('"file_name": "\\u', '"file\\u005fname": "\\u')
    )
    assert cli("dataset", root, "-o", tmp_path / "escaped")[0] == 0
    new = json.loads((tmp_path / "escaped/a.json").read_text())
    assert [one["file_name"] for one in new["images"]] == ["ä 1.png", "images\\b.png"]


def test_a_long_text_without_blanks_takes_no_time() -> None:
    names = Names(["a.jpg"])
    text = '{"x": "' + "A1b2" * 100_000 + '", "imagePath": "a.jpg"}'
    start = time.perf_counter()
    assert rewrite_text(text, "a.json", names, {"a.jpg": "a.png"}).endswith('"a.png"}')
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("layout", ["coco", "voc", "yolo-seg", "pairs"])
def test_only_the_images_of_a_list(layout: str, cli: Cli, tmp_path: Path) -> None:
    root, out = SETS[layout](tmp_path / "in"), tmp_path / "out"
    survey = open_layout(root).survey()
    chosen = survey.splits[survey.training[0]][:2]
    listed = [chosen[0], Path(chosen[1]).stem]
    (tmp_path / "list.txt").write_text("\ufeff" + "\r\n".join(listed) + "\r\n", encoding="utf-8")
    code, text, err = cli("dataset", root, "-o", out, "--only", tmp_path / "list.txt")
    assert code == 3 and "left as they are (--only; first: " in " ".join(text.split()), err
    assert [one.source for one in Manifest(out).read()[0]] == chosen
    assert cli("verify", out, "--originals", root)[0] == 0
    again = tmp_path / "again"
    code, text, err = cli("dataset", root, "-o", again, "--only", out / "unseg-manifest.jsonl")
    assert code == 3, err
    assert [one.output_sha256 for one in Manifest(again).read()[0]] == [
        one.output_sha256 for one in Manifest(out).read()[0]
    ]


def test_only_some_images_of_a_folder(cli: Cli, tmp_path: Path) -> None:
    for n in range(3):
        save(photograph(n), tmp_path / "in" / f"{n}.jpg")
    (tmp_path / "list.txt").write_text("2.jpg\n0\n")
    code, text, err = cli(
        "protect", tmp_path / "in", "-o", tmp_path / "out", "--only", tmp_path / "list.txt"
    )
    assert code == 0, text + err
    assert [one.source for one in Manifest(tmp_path / "out").read()[0]] == ["0.jpg", "2.jpg"]
    code, text, _ = cli("verify", tmp_path / "out", "--originals", tmp_path / "in")
    assert code == 0 and "1 images in --originals are not in the manifest" in text
    for line, message in (("3.jpg", "is none of the images"), ("", "names no image")):
        (tmp_path / "list.txt").write_text(line)
        code, _, err = cli(
            "protect", tmp_path / "in", "-o", tmp_path / "b", "--only", tmp_path / "list.txt"
        )
        assert code == 2 and message in err and not (tmp_path / "b").exists()
    code, _, err = cli(
        "protect", tmp_path / "in", "-o", tmp_path / "b", "--only", tmp_path / "gone.txt"
    )
    assert code == 2 and "gone.txt cannot be read" in err


def test_no_clean_copy_is_left_beside_a_protected_image(cli: Cli, tmp_path: Path) -> None:
    root, out = coco(tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out, "--limit", 1)[0] == 3
    assert (out / "train2017/000001.jpg").is_file()
    code, text, err = cli("dataset", root, "-o", out, "--resume")
    assert code == 0, text + err
    assert not (out / "train2017/000001.jpg").exists()
    assert (out / "train2017/000001.png").is_file()
    assert cli("verify", out, "--originals", root)[0] == 0
    code, _, err = cli("dataset", root, "-o", out, "--resume", "--limit", 1)
    assert code == 2 and "would copy as it is" in err
    assert not (out / "train2017/000001.jpg").exists()


def test_a_misspelled_class_is_guessed(cli: Cli, tmp_path: Path) -> None:
    root = coco(tmp_path / "in")
    code, _, err = cli("dataset", root, "--dry-run", "--classes", "persn")
    assert code == 2 and "did you mean person?" in err
    code, _, err = cli("dataset", root, "--dry-run", "--exclude", "qqq")
    assert code == 2 and "choose from person" in err


@pytest.mark.parametrize("said", ["../../secret.png", "/etc/secret.png"])
def test_a_map_outside_the_data_set_is_refused(said: str, cli: Cli, tmp_path: Path) -> None:
    root = panoptic(tmp_path / "in")
    file = root / "annotations/panoptic_train2017.json"
    body = json.loads(file.read_text())
    body["annotations"][0]["file_name"] = said
    file.write_text(json.dumps(body))
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 1 and "is outside the data set" in err


def test_names_that_lead_out_lead_nowhere(cli: Cli, tmp_path: Path) -> None:
    root = coco(tmp_path / "in")
    save(photograph(0), tmp_path / "secret.jpg")
    file = root / "annotations/instances_train2017.json"
    body = json.loads(file.read_text())
    body["images"][0]["file_name"] = "../../secret.jpg"
    file.write_text(json.dumps(body))
    code, text, _ = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 3 and "lists 1 images that are not there (first: ../../secret.jpg)" in text
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in", "out", "secret.jpg"]


def clean(path: Path) -> np.ndarray:
    body = json.loads(path.read_text())
    path.with_name("inside.bin").write_bytes(base64.b64decode(body["imageData"]))
    found = pixels(path.with_name("inside.bin"))
    path.with_name("inside.bin").unlink()
    return found


def test_every_file_that_holds_an_image_is_dealt_with(cli: Cli, tmp_path: Path) -> None:
    root, out = labelme(tmp_path / "in"), tmp_path / "out"
    (root / "old").mkdir()
    shutil.copy(root / "0000.json", root / "old/0000.json")  # two files of one image
    lost = json.loads((root / "0000.json").read_text()) | {"imagePath": "gone.jpg"}
    (root / "lost.json").write_text(json.dumps(lost))
    code, text, _ = cli("dataset", root, "-o", out)
    assert code == 3 and "1 of these files hold the clean image itself" in " ".join(text.split())
    for name in ("0000.json", "old/0000.json"):
        np.testing.assert_array_equal(clean(out / name), pixels(out / "0000.png"))


def test_a_clean_image_within_a_file_of_another_tool(cli: Cli, tmp_path: Path) -> None:
    root, out = coco(tmp_path / "in"), tmp_path / "out"
    data = base64.b64encode((root / "train2017/000000.jpg").read_bytes()).decode()
    body = {"imagePath": "../train2017/000000.jpg", "shapes": [], "imageData": data}
    (root / "labelme").mkdir()
    (root / "labelme/0.json").write_text(json.dumps(body))
    assert cli("dataset", root, "-o", out, "--layout", "coco")[0] == 0
    np.testing.assert_array_equal(
        clean(out / "labelme/0.json"), pixels(out / "train2017/000000.png")
    )


def test_packed_copies_are_told(cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in")
    np.save(root / "images/train/0000.npy", photograph(0))
    (root / "images.zip").write_bytes(b"PK")
    code, text, _ = cli("dataset", root, "--dry-run")
    assert code == 0 and "2 files may hold the images once more" in " ".join(text.split())


def test_linked_folders_and_inputs_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    kept, root, out = yolo(tmp_path / "kept"), tmp_path / "in", tmp_path / "out"
    root.mkdir()
    try:
        for name in ("images", "labels"):
            (root / name).symlink_to(kept / name, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    shutil.copy(kept / "data.yaml", root)
    for path in kept.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        code, text, err = cli("dataset", root, "-o", out)
        assert code == 0, text + err
        assert not (out / "images").is_symlink() and not (out / "labels").is_symlink()
        assert cli("verify", out, "--originals", root)[0] == 0
    finally:
        for path in kept.rglob("*"):
            path.chmod(0o755)


def test_boxes_and_outlines_in_one_file(cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in")
    label = root / "labels/train/0000.txt"
    label.write_text("1 0.5 0.5 0.25 0.25\r\n" + label.read_text().splitlines()[0] + "\r\n")
    one = open_layout(root).annotation("images/train/0000.jpg", (WIDTH, HEIGHT))
    assert one is not None and one.boxes is not None
    assert one.boxes.labels.tolist() == [2] and np.unique(one.labels).tolist() == [0, 1]
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0


def test_yolo_names_beside_the_labels(cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in", outlines=False)
    for names in ({0: "nucleus", 1: "debris"}, ["nucleus", "debris"]):
        (root / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "names": names}))
        for labels in (root / "labels", root / "labels/train"):
            assert read_annotations(labels).classes == {1: "nucleus", 2: "debris"}
    images, labels = root / "images/train", root / "labels/train"
    code, text, err = cli(
        "masks", images, "-o", tmp_path / "masks", "--boxes", labels, "--classes", "debris",
        "--target", "class",
    )  # fmt: skip
    assert code == 0, text + err
    with Image.open(tmp_path / "masks/0000.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [0, 2]
    code, _, err = cli(
        "protect", images, "-o", tmp_path / "out", "--masks", labels, "--classes", "debri"
    )
    assert code == 2 and "did you mean debris?" in err
    code, _, err = cli("masks", images, "-o", tmp_path / "m", "--classes", "debris")
    assert code == 2 and "--classes needs --boxes" in err


def test_parts_of_one_object_are_one_in_labelme(tmp_path: Path) -> None:
    shapes = [
        {"label": "cat", "points": outline(ellipse(0, part)).tolist(), "group_id": group,
         "shape_type": "polygon"}
        for part, group in ((0, 1), (1, 1), (0, None), (1, 2))
    ]  # fmt: skip
    body = {"imagePath": "a.jpg", "shapes": shapes, "imageWidth": WIDTH, "imageHeight": HEIGHT}
    (tmp_path / "a.json").write_text(json.dumps(body))
    (one,) = read_annotations(tmp_path / "a.json").images.values()
    assert [len(shape.polygons) for shape in one.shapes] == [2, 1, 1]


CVAT = "# label:color_rgb:parts:actions\nbackground:30,30,40::\ncat:250,50,83::\ndog:51,221,255::\n"


def coloured(number: int) -> np.ndarray:
    """A colour map as CVAT exports it, whose background is not black."""
    found = np.full((HEIGHT, WIDTH, 3), (30, 30, 40), np.uint8)
    found[ellipse(number, 0)], found[ellipse(number, 1)] = (250, 50, 83), (51, 221, 255)
    return found


def test_the_background_of_cvat_is_the_one_it_names(cli: Cli, tmp_path: Path) -> None:
    for n in range(2):
        save(photograph(n), tmp_path / "in" / f"{n}.jpg")
        save(coloured(n), tmp_path / "masks/SegmentationClass" / f"{n}.png")
    (tmp_path / "masks/labelmap.txt").write_text(CVAT)
    for folder in ("masks", "masks/SegmentationClass"):
        out = tmp_path / f"out-{Path(folder).name}"
        code, text, err = cli("protect", tmp_path / "in", "-o", out, "--masks", tmp_path / folder)
        assert code == 0, text + err
        truth = ellipse(0, 0) | ellipse(0, 1)
        with Image.open(out / "unseg-masks/0.png") as image:
            np.testing.assert_array_equal(np.asarray(image), truth)
    out = tmp_path / "dogs"
    code, text, err = cli(
        "protect", tmp_path / "in", "-o", out, "--masks", tmp_path / "masks", "--classes", "dog"
    )
    assert code == 0, text + err
    with Image.open(out / "unseg-masks/0.png") as image:
        np.testing.assert_array_equal(np.asarray(image), ellipse(0, 1))
    (tmp_path / "masks/labelmap.txt").write_text(CVAT.replace("dog:51", "dog:50"))
    code, _, err = cli(
        "protect", tmp_path / "in", "-o", tmp_path / "b", "--masks", tmp_path / "masks"
    )
    assert code == 1 and "has the colour 51, 221, 255, which labelmap.txt does not list" in err


def test_cvat_in_vocs_layout(cli: Cli, tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    for n in range(2):
        save(photograph(n), root / "JPEGImages" / f"{n}.jpg")
        save(coloured(n), root / "SegmentationClass" / f"{n}.png")
    (root / "labelmap.txt").write_text(CVAT)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/default.txt").write_text("0\n1\n")
    code, text, err = cli("dataset", root, "-o", out, "--classes", "cat")
    assert code == 0, text + err
    with Image.open(out / "unseg-masks/JPEGImages/0.jpg.png") as image:
        np.testing.assert_array_equal(np.asarray(image), ellipse(0, 0))


def test_difficult_objects_of_voc_are_protected(cli: Cli, tmp_path: Path) -> None:
    root, out = voc(tmp_path / "in"), tmp_path / "out"
    shutil.rmtree(root / "SegmentationClass")
    shutil.rmtree(root / "SegmentationObject")
    for path in (root / "Annotations").glob("*.xml"):
        flags = "<difficult>1</difficult><truncated>1</truncated>"
        path.write_text(path.read_text().replace("</name>", f"</name>{flags}"))
    assert cli("dataset", root, "-o", out)[0] == 0
    records, _ = Manifest(out).read()
    assert len(records) == 4 and all(one.foreground_share for one in records)
    for path in (root / "Annotations").glob("*.xml"):
        assert path.read_bytes() == (out / "Annotations" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "train/masks"), "split train is not in the data set"),
        (
            lambda root: [p.unlink() for p in (root / "train/images").iterdir()],
            "split train is not in the data set",
        ),
    ],
)
def test_empty_parts_are_told(
    change: Callable[[Path], Any], message: str, cli: Cli, tmp_path: Path
) -> None:
    root = pairs(tmp_path / "in")
    change(root)
    code, text, err = cli("dataset", root, "--dry-run", "--splits", "train")
    assert code == 2 and message in err and "Traceback" not in text + err


def test_annotations_of_another_size_are_scaled_or_refused(cli: Cli, tmp_path: Path) -> None:
    root = labelme(tmp_path / "in")
    body = json.loads((root / "0001.json").read_text())
    body |= {"imageWidth": 2 * WIDTH, "imageHeight": 2 * HEIGHT}
    for shape in body["shapes"]:
        shape["points"] = [[2 * x, 2 * y] for x, y in shape["points"]]
    (root / "0001.json").write_text(json.dumps(body))
    code, text, _ = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 3 and "0001.json says 128x96 but the image is 64x48" in " ".join(text.split())
    with Image.open(tmp_path / "out/unseg-masks/0001.png") as image:
        mask = np.asarray(image)
    truth = ellipse(1, 0) | ellipse(1, 1)
    assert (mask ^ truth).mean() < 0.03
    (root / "0001.json").write_text(json.dumps(body | {"imageHeight": 10**9}))
    code, _, err = cli("dataset", root, "-o", tmp_path / "b")
    assert code == 1 and "0001.jpg in 0001.json is 128x1000000000" in err


def coco_of(root: Path, **changes: Any) -> Path:
    """A photograph with one outline; ``changes`` are of its record."""
    save(photograph(0), root / "images/a.jpg")
    record = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, **changes}
    flat = outline(ellipse(0)).ravel().tolist()
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": flat}
    body = {"images": [record], "annotations": [one], "categories": [{"id": 1, "name": "x"}]}
    (root / "a.json").write_text(json.dumps(body))
    return root


def test_coco_records_as_people_have_them(cli: Cli, tmp_path: Path) -> None:
    assert cli("dataset", coco_of(tmp_path / "a", width=None), "-o", tmp_path / "ao")[0] == 0
    huge = coco_of(tmp_path / "b", width=10**7, height=10**7)
    code, _, err = cli("dataset", huge, "-o", tmp_path / "bo")
    assert code == 1 and "is 10000000x10000000, but the file 64x48" in err
    root = coco_of(tmp_path / "c")
    body = json.loads((root / "a.json").read_text())
    (root / "a.json").write_text(json.dumps({**body, "images": body["images"] * 2}))
    code, _, err = cli("dataset", root, "-o", tmp_path / "co")
    assert code == 2 and "two images have the id 1" in err
    (root / "a.json").write_text(
        json.dumps({**body, "annotations": [{**body["annotations"][0], "image_id": "1"}]})
    )
    code, _, err = cli("dataset", root, "-o", tmp_path / "co")
    assert code == 2 and "1 annotations of images that it does not list" in err


def test_labels_and_masks_that_fit_none_or_several_are_told(cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in")
    (root / "labels/train/9999.txt").write_text("0 .5 .5 .1 .1\n")
    _, text, _ = cli("dataset", root, "--dry-run")
    assert "1 files of labels fit no image (first: labels/train/9999.txt)" in " ".join(text.split())
    root = tmp_path / "pairs"
    for name in ("a/x", "b/x"):
        save(photograph(0), root / f"images/{name}.jpg")
    save(ellipse(0).astype(np.uint8) * 255, root / "masks/x.png")
    _, text, _ = cli("dataset", root, "--dry-run")
    assert "1 masks in masks fit several images each (first: x.png, for 2)" in text


@pytest.mark.parametrize("kind", ["gif", "webp", "jpg"])
def test_masks_of_other_kinds_make_pairs(kind: str, cli: Cli, tmp_path: Path) -> None:
    for n in range(2):
        save(photograph(n), tmp_path / "in/images" / f"{n}.png")
        path = tmp_path / "in/masks" / f"{n}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ellipse(n).astype(np.uint8) * np.uint8(255)).save(path, quality=95)
    code, text, err = cli("dataset", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0, text + err
    with Image.open(tmp_path / "out/unseg-masks/images/0.png") as image:
        assert (np.asarray(image) ^ ellipse(0)).mean() < 0.02
