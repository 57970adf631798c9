"""Small whole files of every kind that is read, drawn here, for :mod:`fuzz` to damage."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, features

import odd_images
from odd_images import pillow, tiff

CASES = Path(os.environ.get("UNSEG_CASES", Path(__file__).parents[2] / "shared" / "cases"))
#: Bytes above which a file of the cases is left out: its mutants would only be slow.
LARGEST = 100_000

#: A seed: its name, whose suffix says the kind, and its bytes.
Seed = tuple[str, bytes]

SMALL = odd_images.COLOUR[:24, :32].copy()
LABELS = np.zeros((24, 32), np.uint8)
LABELS[4:14, 4:18], LABELS[10:20, 16:28], LABELS[9, 16:28] = 1, 2, 255


def images() -> list[Seed]:
    """Photographs in every format, mode and compression."""
    grey, rgba = SMALL[..., 0], np.dstack([SMALL, SMALL[..., 1]])
    wide = SMALL.astype(np.uint16) * 200
    exif = odd_images.located()
    exif[0x0112] = 6
    found = [
        ("a.jpg", pillow(SMALL, "JPEG", quality=90, exif=exif.tobytes(), dpi=(72, 72))),
        ("progressive.jpg", pillow(SMALL, "JPEG", progressive=True, icc_profile=odd_images.srgb())),
        ("grey.jpg", pillow(grey, "JPEG")),
        ("cmyk.jpg", odd_images.cmyk()),
        ("a.png", pillow(SMALL, "PNG", exif=exif.tobytes(), icc_profile=odd_images.srgb())),
        ("rgba.png", pillow(rgba, "PNG")),
        ("wide.png", pillow(wide[..., 0], "PNG")),
        ("palette.png", _saved(Image.fromarray(SMALL).quantize(9), "PNG", transparency=3)),
        ("bits.png", _saved(Image.fromarray(grey > 90), "PNG")),
        ("moving.png", odd_images.animation("PNG")),
        ("a.webp", pillow(SMALL, "WEBP", exif=exif.tobytes())),
        ("lossless.webp", pillow(rgba, "WEBP", lossless=True)),
        ("a.bmp", pillow(SMALL, "BMP")),
        ("palette.bmp", _saved(Image.fromarray(SMALL).quantize(9), "BMP")),
        ("a.gif", _saved(Image.fromarray(SMALL).quantize(9), "GIF")),
        ("moving.gif", odd_images.animation("GIF")),
        ("a.ppm", pillow(SMALL, "PPM")),
        ("a.pgm", pillow(grey, "PPM")),
        ("geo.tif", odd_images.geo_tiff()),
        ("five.tif", odd_images.bands(5)),
        ("signed.tif", tiff(odd_images.SCAN.astype(np.int16) - 1000, metadata=None)),
        ("float.tif", tiff(SMALL.astype(np.float32) / 255, photometric="rgb", metadata=None)),
        ("wide.tif", tiff(wide, photometric="rgb", metadata=None)),
        ("big.tif", tiff(SMALL, photometric="rgb", metadata=None, bigtiff=True, byteorder=">")),
        ("zip.tif", tiff(SMALL, photometric="rgb", compression="zlib", predictor=True)),
        ("tiled.tif", tiff(wide[..., 0], metadata=None, tile=(16, 16))),
        ("planes.tif", _planes()),
        ("lzw.tif", pillow(SMALL, "TIFF", compression="tiff_lzw")),
        ("fax.tif", _saved(Image.fromarray(grey > 90), "TIFF", compression="group4")),
    ]
    for kind in ("lzw", "zstd", "lerc", "packbits"):  # of which some take the extra
        with suppress(Exception):
            wide_bands = np.dstack([wide, wide[..., :2]])
            made = tiff(wide_bands, photometric="rgb", compression=kind, metadata=None)
            found.append((f"{kind}.tif", made))
    if features.check("avif"):
        found.append(("a.avif", pillow(SMALL, "AVIF", quality=90)))
    return [*found, *_dicom(), *_heif(), *_cases("files/in", "kinds", "names/in")]


def masks() -> list[Seed]:
    """Masks and label maps in every way that they are saved."""
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[LABELS % 255]
    paletted = Image.fromarray(LABELS)
    paletted.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    white = (LABELS > 0).astype(np.uint8) * np.uint8(255)
    pages = np.stack([LABELS == 1, LABELS == 2]).astype(np.uint8)
    found = [
        ("grey.png", pillow(LABELS, "PNG")),
        ("white.png", pillow(white, "PNG")),
        ("wide.png", pillow(LABELS.astype(np.uint16) * 200, "PNG")),
        ("colours.png", pillow(colours, "PNG")),
        ("alpha.png", pillow(np.dstack([colours, white]), "PNG")),
        ("palette.png", _saved(paletted, "PNG")),
        ("bits.png", _saved(Image.fromarray(LABELS > 0), "PNG")),
        ("a.tif", tiff(LABELS, metadata=None)),
        ("inverted.tif", tiff(white, photometric="miniswhite", metadata=None)),
        ("pages.tif", tiff(pages, photometric="minisblack", metadata=None)),
        ("float.tif", tiff(LABELS.astype(np.float32), metadata=None)),
        ("long.tif", tiff(LABELS.astype(np.int32), metadata=None)),
        ("a.bmp", pillow(white, "BMP")),
        ("a.jpg", pillow(white, "JPEG")),
        ("a.gif", pillow(white, "GIF")),
        ("a.webp", pillow(np.dstack([white] * 3), "WEBP", lossless=True)),
    ]
    return [*found, *_cases("masks/masks", "unmatched", "files/masks")]


def annotations() -> list[Seed]:
    """COCO, YOLO, labelme and Pascal VOC, all of an image ``a.jpg`` of 80 x 60."""
    outline = [10, 10, 40, 10, 40, 30.5, 10, 30]
    shape = {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0, "bbox": [10, 10, 30, 20]}
    runs = {"size": [60, 80], "counts": [100, 50, 4650]}
    packed = {"size": [60, 80], "counts": "T3b10lN0"}
    coco = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 80, "height": 60}],
        "categories": [{"id": 3, "name": "person"}, {"id": 4, "name": "dog"}],
        "annotations": [
            {**shape, "segmentation": [outline]},
            {**shape, "id": 2, "segmentation": runs, "iscrowd": 1},
            {**shape, "id": 3, "segmentation": packed, "category_id": 4},
            {**shape, "id": 4},
        ],
    }
    points = [[10, 10], [40, 10], [40, 30]]
    labelme = {
        "version": "5.0", "imagePath": "a.jpg", "imageWidth": 80, "imageHeight": 60,
        "imageData": None,
        "shapes": [
            {"label": "person", "points": points, "shape_type": "polygon", "group_id": None},
            {"label": "dog", "points": points[:2], "shape_type": "rectangle"},
            {"label": "dog", "points": points[:2], "shape_type": "circle"},
            {"label": "dog", "points": points[:1], "shape_type": "point"},
        ],
    }  # fmt: skip
    voc = (
        "<annotation><folder>VOC</folder><filename>a.jpg</filename><size><width>80</width>"
        "<height>60</height><depth>3</depth></size><object><name>person</name><difficult>0"
        "</difficult><bndbox><xmin>10</xmin><ymin>10</ymin><xmax>40</xmax><ymax>30.5</ymax></bndbox>"
        "</object><object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox></object></annotation>"
    )
    found = [
        ("a.json", json.dumps(coco).encode()),
        ("a.json", json.dumps(labelme, indent=1).encode()),
        ("a.xml", voc.encode()),
        ("a.txt", b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.2 0.2\n"),
        ("a.txt", b"0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n3 0.2 0.2 0.3 0.2 0.3 0.3\n"),
        ("a.txt", b"0 0.5 0.5 0.25 0.25 0.9\n"),
    ]
    cases = [
        (f"a{Path(name).suffix}", data)
        for name, data in _cases("boxes")
        if Path(name).suffix in {".json", ".xml", ".txt"}
    ]
    return [*found, *cases]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _planes() -> bytes:
    stream = io.BytesIO()
    planes = np.ascontiguousarray(SMALL.transpose(2, 0, 1)).astype(np.uint16)
    tifffile.imwrite(stream, planes, photometric="rgb", planarconfig="separate", metadata=None)
    return stream.getvalue()


def _dicom() -> list[Seed]:
    try:
        from odd_dicom import dicom, encapsulated, in_frames, run_lengths
    except ImportError:  # without the extra
        return []
    scan = odd_images.SCAN[:24, :32].copy()
    found = [
        ("a.dcm", dicom(scan)),
        ("signed.dcm", dicom(scan.astype(np.int16) - 1000, WindowCenter=0, WindowWidth=300)),
        ("colour.dcm", dicom(SMALL, bits=8)),
        ("rle.dcm", run_lengths(scan)),
        ("jpeg.dcm", in_frames(SMALL, "JPEG", PhotometricInterpretation="YBR_FULL_422")),
        ("jpeg2000.dcm", in_frames(scan, "JPEG2000")),
    ]
    try:
        import imagecodecs
    except ImportError:  # without the extra
        return found
    frames = {
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode(scan),
        "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_encode(scan),
        "1.2.840.10008.1.2.4.51": imagecodecs.jpeg8_encode(scan, bitspersample=12),
    }
    more = [(f"{s}.dcm", encapsulated(scan, s, bytes(frame))) for s, frame in frames.items()]
    return [*found, *more]


def _heif() -> list[Seed]:
    try:
        import pillow_heif
    except ImportError:  # without the extra
        return []
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SMALL)).save(stream, quality=80)
    return [("a.heic", stream.getvalue())]


def _cases(*folders: str) -> Iterator[Seed]:
    """The files of UNSEG_CASES, where it is there."""
    for folder in folders:
        for path in sorted((CASES / folder).rglob("*")):
            if path.is_file() and path.stat().st_size <= LARGEST:
                yield path.name, path.read_bytes()
