"""Tiny data sets for ``unseg dataset``: those of :mod:`layouts`, and what only owners have."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import yaml
from PIL import Image

import layouts
from layouts import HEIGHT, WIDTH, ellipse, photograph, polygon, save

NEGATIVE = 3
"""Number of the photograph whose annotation has no object, where a layout can say so."""


def rle(mask: np.ndarray) -> dict[str, object]:
    """COCO's run lengths of a mask, not compressed."""
    flat = mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    return {"size": list(mask.shape), "counts": runs.tolist()}


def compressed(mask: np.ndarray) -> dict[str, object]:
    """COCO's run lengths of a mask as text, made by an independent library."""
    from faster_coco_eval import mask as coder

    found = coder.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


def outline(mask: np.ndarray) -> np.ndarray:
    """(n, 2) points around a mask."""
    return np.array(polygon(mask)[0]).reshape(-1, 2)


def coco(root: Path) -> Path:
    """Polygons, both kinds of run lengths, a crowd, and a photograph without an object."""
    for part, numbers in (("train2017", range(4)), ("val2017", range(4, 6))):
        for n in numbers:
            save(photograph(n), root / part / f"{n:06d}.jpg")
        file = root / "annotations" / f"instances_{part}.json"
        layouts.instances(file, numbers, {1: "person", 18: "dog", 90: "toothbrush"})
        body = json.loads(file.read_text())
        body["info"] = {"description": "drawn \u00e4"}
        own = body["annotations"]
        if part == "train2017":
            own[2]["segmentation"] = rle(ellipse(1, 0))
            own[3]["segmentation"] = compressed(ellipse(1, 1))
            own[4] |= {"segmentation": rle(ellipse(2, 0)), "iscrowd": 1}
        body["annotations"] = [one for one in own if one["image_id"] != NEGATIVE]
        file.write_text(json.dumps(body))
        captions = [{"id": n, "image_id": n, "caption": "two discs"} for n in numbers]
        (file.parent / f"captions_{part}.json").write_text(
            json.dumps({"images": body["images"], "annotations": captions}, indent=2)
        )
    (root / "README.md").write_text("See train2017/000000.jpg\n")
    return root


def panoptic(root: Path) -> Path:
    layouts.coco(root)
    for file in (root / "annotations").glob("instances_*.json"):
        file.unlink()
    return root


def voc(root: Path) -> Path:
    """With objects, XML files that mention the photographs, and one without an object."""
    layouts.voc(root)
    for n in range(6):
        name = f"2007_{n:06d}"
        objects = np.zeros((HEIGHT, WIDTH), np.uint8)
        objects[ellipse(n, 0)], objects[ellipse(n, 1)] = 1, 2
        save(objects, root / "SegmentationObject" / f"{name}.png")
        if n == NEGATIVE:
            save(objects * 0, root / "SegmentationClass" / f"{name}.png")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation>\n\t<folder>VOC</folder>\n\t<filename>{name}.jpg</filename>\n"
            "\t<object><name>person</name><bndbox><xmin>5</xmin><ymin>10</ymin><xmax>27</xmax>"
            "<ymax>38</ymax></bndbox></object>\n</annotation>\n"
        )
    return root


def yolo(root: Path, *, outlines: bool = True, kind: str = "jpg") -> Path:
    """Polygons or boxes; an empty text file for the photograph without an object."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        for n in numbers:
            save(photograph(n), root / "images" / split / f"{n:04d}.{kind}")
            rows = []
            for part in (0, 1):
                mask = ellipse(n, part)
                if outlines:
                    points = outline(mask) / (WIDTH, HEIGHT)
                    values = points.ravel().tolist()
                else:
                    ys, xs = np.nonzero(mask)
                    left, right, top, bottom = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
                    values = [
                        (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT,
                        (right - left) / WIDTH, (bottom - top) / HEIGHT,
                    ]  # fmt: skip
                rows.append(" ".join([str(part), *(f"{value:.6f}" for value in values)]))
            path = root / "labels" / split / f"{n:04d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("" if n == NEGATIVE else "\n".join(rows) + "\n")
    names = {0: "nucleus", 1: "debris"}
    body = {"path": ".", "train": "images/train", "val": "images/val", "names": names}
    (root / "data.yaml").write_text(yaml.safe_dump(body))
    return root


def labelme(root: Path) -> Path:
    """Files beside the photographs; the first holds its image, the last has no shape."""
    for n in range(4):
        save(photograph(n), root / f"{n:04d}.jpg")
        shapes = [
            {"label": label, "points": outline(ellipse(n, part)).tolist(),
             "group_id": None, "shape_type": "polygon", "flags": {}}
            for part, label in enumerate(("cell", "debris"))
        ]  # fmt: skip
        data = (root / f"{n:04d}.jpg").read_bytes() if n == 0 else None
        body = {
            "version": "5.4.1", "flags": {}, "shapes": [] if n == NEGATIVE else shapes,
            "imagePath": f"{n:04d}.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH,
            "imageData": None if data is None else base64.b64encode(data).decode(),
        }  # fmt: skip
        (root / f"{n:04d}.json").write_text(json.dumps(body, indent=2))
    return root


def pairs(root: Path) -> Path:
    """Photographs of both kinds, masks of 0 and 255, and a list with paths."""
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        for n in numbers:
            kind = "png" if n == 0 else "jpg"
            save(photograph(n), root / split / "images" / f"{n:04d}.{kind}")
            both = (ellipse(n, 0) | ellipse(n, 1)) & (n != NEGATIVE)
            save(both.astype(np.uint8) * 255, root / split / "masks" / f"{n:04d}.png")
    lines = [f"train/images/{n:04d}.{'png' if n == 0 else 'jpg'} train/masks/{n:04d}.png"
             for n in range(4)]  # fmt: skip
    (root / "pairs.lst").write_text("\n".join(lines) + "\n")
    return root


def slice_file(
    array: np.ndarray, number: int, *, modality: str = "CT", **elements: object
) -> bytes:
    """A DICOM file of 12 bits."""
    import pydicom

    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
    made.SeriesInstanceUID, made.Modality = "1.2.3", modality
    made.InstanceNumber, made.PatientName = number, "Drawn^Nobody"
    made.Rows, made.Columns, made.SamplesPerPixel = *array.shape, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = array.astype("<u2").tobytes()
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def scan(number: int) -> np.ndarray:
    """(H, W) uint16: a photograph in 12 bits, the later slices brighter."""
    return (photograph(number)[..., 0].astype(np.uint16)) + 1000 + 5 * number


def dicom(root: Path) -> Path:
    """Two series: files with a suffix, and files that are named by numbers alone."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        for n in numbers:
            name = f"{n:04d}.dcm" if split == "train" else f"1.2.{n}"
            path = root / split / "series1" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(slice_file(scan(n), n))
            mask = layouts.labels(n, 0, 1, 2) * np.uint8(n != NEGATIVE)
            stem = name.removesuffix(".dcm")
            save(mask, root / "masks" / split / "series1" / f"{stem}.png")
    return root


def geotiff(root: Path) -> Path:
    """Tiles in UTM zone 31, with a world file."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        for n in numbers:
            path = root / split / "images" / f"tile_{n}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(
                path, photograph(n), photometric="rgb", metadata=None, description="flight 7",
                extratags=[
                    (33550, "d", 3, (0.5, 0.5, 0.0), False),
                    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0 + n, 4600000.0, 0.0), False),
                    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32631), False),
                ],
            )  # fmt: skip
            mask = layouts.labels(n, 0, 1, 2) * np.uint8(n != NEGATIVE)
            save(mask, root / split / "labels" / f"tile_{n}.tif")
    (root / "train" / "images" / "tile_0.tfw").write_text("0.5\n0\n0\n-0.5\n500000\n4600000\n")
    return root


SETS: dict[str, Callable[[Path], Path]] = {
    "coco": coco,
    "coco-panoptic": panoptic,
    "voc": voc,
    "ade20k": layouts.ade20k,
    "cityscapes": layouts.cityscapes,
    "yolo": lambda root: yolo(root, outlines=False),
    "yolo-seg": yolo,
    "labelme": labelme,
    "dicom": dicom,
    "geotiff": geotiff,
    "pairs": pairs,
}
"""Every layout's name, and what writes a set of it."""


def pixels(path: Path) -> np.ndarray:
    """(H, W, 3) int64, RGB, as training code reads an image; (H, W) of DICOM."""
    head = path.read_bytes()[:132]
    if head.endswith(b"DICM"):
        import pydicom

        return pydicom.dcmread(path).pixel_array.astype(np.int64)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(np.int64)
