"""Tiny data sets in the layouts of the published ones: a few photographs of bright ellipses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


def ellipse(number: int, part: int = 0) -> np.ndarray:
    """(H, W) bool; parts 0 and 1 of one photograph do not touch."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centre = (HEIGHT / 2 + number % 3, 16 + 32 * part)
    return ((rows - centre[0]) / 14) ** 2 + ((columns - centre[1]) / 11) ** 2 < 1


def photograph(number: int) -> np.ndarray:
    """(H, W, 3) uint8: two ellipses, the left brighter, on dark noise."""
    image = np.random.default_rng(number).integers(0, 60, (HEIGHT, WIDTH, 3))
    image[ellipse(number, 0)] += 150
    image[ellipse(number, 1)] += 80
    return image.astype(np.uint8)


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def labels(number: int, ground: int, first: int, second: int) -> np.ndarray:
    """(H, W) uint8: the ellipses' labels on a ground."""
    found = np.full((HEIGHT, WIDTH), ground, np.uint8)
    found[ellipse(number, 0)], found[ellipse(number, 1)] = first, second
    return found


def voc(root: Path) -> Path:
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, numbers in (("train", range(4)), ("val", range(4, 6))):
        (lists / f"{part}.txt").write_text("".join(f"2007_{n:06d}\n" for n in numbers))
        for n in numbers:
            save(photograph(n), root / "JPEGImages" / f"2007_{n:06d}.jpg")
            values = labels(n, 0, 15, 7)
            values[20:24, 42:46] = 255
            truth = Image.fromarray(values)
            truth.putpalette([i % 256 for i in range(768)])
            (root / "SegmentationClass").mkdir(exist_ok=True)
            truth.save(root / "SegmentationClass" / f"2007_{n:06d}.png")
    return root


def ade20k(root: Path) -> Path:
    for part, short, numbers in (
        ("training", "train", range(1, 5)),
        ("validation", "val", range(5, 7)),
    ):
        for n in numbers:
            name = f"ADE_{short}_{n:08d}"
            save(photograph(n), root / "images" / part / f"{name}.jpg")
            truth = labels(n, 3, 150, 1)
            truth[:2] = 0
            save(truth, root / "annotations" / part / f"{name}.png")
    rows = [f"{i}\t0.1\t10\t10\t1\tname {i}" for i in range(1, 151)]
    (root / "objectInfo150.txt").write_text(
        "\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows])
    )
    return root


def polygon(mask: np.ndarray) -> list[list[float]]:
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [outline.flatten().astype(float).tolist() for outline in found]


def instances(path: Path, numbers: range, names: dict[int, str], suffix: str = "jpg") -> None:
    """A COCO instance file with the two ellipses as objects of the first and the last category."""
    images, annotations = [], []
    for n in numbers:
        images.append({"id": n, "file_name": f"{n:06d}.{suffix}", "height": HEIGHT, "width": WIDTH})
        for part, category in enumerate((min(names), max(names))):
            mask = ellipse(n, part)
            rows, columns = np.nonzero(mask)
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            annotations.append({
                "id": len(annotations) + 1, "image_id": n, "category_id": category, "iscrowd": 0,
                "segmentation": polygon(mask), "area": int(mask.sum()),
                "bbox": [int(v) for v in (*low, high[0] - low[0], high[1] - low[1])],
            })  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in names.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(body))


def panoptic(path: Path, numbers: range) -> None:
    """A COCO panoptic file: a person, a car, and sky around them; the first rows are void."""
    images, annotations = [], []
    for n in numbers:
        name = f"{n:06d}"
        images.append({"id": n, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
        ids = {70000: 1, 300: 3, 9: 187}
        truth = np.full((HEIGHT, WIDTH), 9)
        truth[ellipse(n, 0)], truth[ellipse(n, 1)] = 70000, 300
        truth[:2] = 0
        colours = np.stack([truth % 256, truth // 256 % 256, truth // 65536], axis=2)
        save(colours.astype(np.uint8), path.with_suffix("") / f"{name}.png")
        segments = [
            {"id": i, "category_id": category, "iscrowd": 0, "area": int((truth == i).sum())}
            for i, category in ids.items()
        ]
        annotations.append({"image_id": n, "file_name": f"{name}.png", "segments_info": segments})
    categories = [
        {"id": 1, "name": "person", "isthing": 1}, {"id": 3, "name": "car", "isthing": 1},
        {"id": 187, "name": "sky", "isthing": 0},
    ]  # fmt: skip
    body = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(body))


def coco(root: Path) -> Path:
    for part, numbers in (("train2017", range(4)), ("val2017", range(4, 6))):
        for n in numbers:
            save(photograph(n), root / part / f"{n:06d}.jpg")
        file = root / "annotations" / f"instances_{part}.json"
        instances(file, numbers, {1: "person", 18: "dog", 90: "toothbrush"})
        panoptic(file.with_name(f"panoptic_{part}.json"), numbers)
    return root


def cityscapes(root: Path) -> Path:
    """A person, and a car that is followed by a group of cars; road, and void rows."""
    for part, city, numbers in (("train", "aachen", range(4)), ("val", "lindau", range(4, 6))):
        for n in numbers:
            stem = f"{city}_{n:06d}_000019"
            save(photograph(n), root / "leftImg8bit" / part / city / f"{stem}_leftImg8bit.png")
            kinds = labels(n, 7, 24, 26)
            ids = kinds.astype(np.uint16)
            ids[ellipse(n, 0)], ids[ellipse(n, 1)] = 24000, 26003
            kinds[-4:, :20] = ids[-4:, :20] = 26
            kinds[:2] = ids[:2] = 4
            folder = root / "gtFine" / part / city
            save(kinds, folder / f"{stem}_gtFine_labelIds.png")
            save(ids, folder / f"{stem}_gtFine_instanceIds.png")
    return root


def pairs(images: Path, masks: Path, numbers: range, image: str = "jpg", mask: str = "png") -> None:
    """Photographs, and masks of both ellipses."""
    for n in numbers:
        save(photograph(n), images / f"{n:04d}.{image}")
        both = ellipse(n, 0) | ellipse(n, 1)
        save(both.astype(np.uint8) * 255, masks / f"{n:04d}.{mask}")


def hqseg(root: Path) -> Path:
    thin = root / "thin_object_detection"
    for images, masks, numbers in (
        ("DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt", range(2)),
        ("DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt", range(2, 4)),
    ):
        pairs(root / images, root / masks, numbers)
    pairs(thin / "ThinObject5K/images_train", thin / "ThinObject5K/masks_train", range(2))
    pairs(thin / "ThinObject5K/images_test", thin / "ThinObject5K/masks_test", range(2, 4))
    pairs(thin / "COIFT/images", thin / "COIFT/masks", range(2))
    pairs(thin / "HRSOD/images", thin / "HRSOD/masks_max255", range(2))
    for name in ("fss_all", "DUTS-TR", "DUTS-TE", "ecssd", "MSRA_10K"):
        pairs(root / "cascade_psp" / name, root / "cascade_psp" / name, range(1))
    return root


def whu(root: Path) -> Path:
    for part, numbers in (("train", range(4)), ("val", range(1)), ("test", range(2))):
        pairs(root / part / "image", root / part / "label", numbers, "tif", "tif")
    return root


def rsprompter(root: Path, prefix: str, names: dict[int, str]) -> Path:
    for n in range(6):
        save(photograph(n), root / "imgs" / f"{n:06d}.jpg")
    for part, numbers in (("train", range(4)), ("val", range(4, 6))):
        instances(root / "annotations" / f"{prefix}_instances_{part}.json", numbers, names)
    return root


def nwpu(root: Path) -> Path:
    return rsprompter(root, "NWPU", {1: "airplane", 2: "ship", 10: "vehicle"})


def ssdd(root: Path) -> Path:
    return rsprompter(root, "SSDD", {1: "ship"})


def kvasir(root: Path) -> Path:
    pairs(root / "images", root / "masks", range(6), "jpg", "jpg")
    return root


FOLDERS = {
    "VOCdevkit/VOC2012": voc,
    "ADEChallengeData2016": ade20k,
    "coco": coco,
    "cityscapes": cityscapes,
    "HQSeg-44K": hqseg,
    "WHU": whu,
    "NWPU": nwpu,
    "SSDD": ssdd,
    "Kvasir-SEG": kvasir,
}
"""Folder below the root of all data, and what writes it."""


def everything(root: Path) -> Path:
    """All of them below one root."""
    for folder, write in FOLDERS.items():
        write(root / folder)
    return root
