"""Damaged files in the test suite: a slice of what :mod:`fuzz` does, and what it has found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fuzz
import odd_images
from unseg.errors import UnsegError
from unseg.images import png
from unseg.images.reader import decode
from unseg.images.writer import encode
from unseg.masks.annotations import read_annotations
from unseg.masks.outlines import fill_polygons


@pytest.mark.parametrize(("what", "count"), [("images", 200), ("masks", 100), ("annotations", 250)])
def test_damaged_files_are_read_or_refused_in_a_line(
    what: str, count: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = fuzz.find_in_slice(what, count, 0, tmp_path)
    assert not found, found[0]


def test_whole_files_are_read(tmp_path: Path) -> None:
    """Else the damaged ones would be refused for what they were before."""
    for what in fuzz.READERS:
        kinds = [fuzz.tried(what, *seed, tmp_path).kind for seed in fuzz.seeds_of(what)]
        assert set(kinds) <= {"read", "refused"}
        assert kinds.count("read") > len(kinds) / 2


def test_an_input_depends_on_seed_and_number_alone() -> None:
    assert fuzz.case("images", 3, 5) == fuzz.case("images", 3, 5) != fuzz.case("images", 4, 5)


def test_what_goes_wrong_is_found_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str, data: bytes, folder: Path) -> None:
        if name == "a.txt":
            raise KeyError(name)
        if name == "a.xml":
            raise UnsegError("two\nlines")

    monkeypatch.setitem(fuzz.READERS, "annotations", (read, fuzz.READERS["annotations"][1]))
    found = fuzz.run("annotations", 40, 0)
    assert set(found.counts) == {"read", "traceback", "message"}
    fuzz.save(found, "annotations", 0, tmp_path)
    logs = sorted(tmp_path.glob("*-traceback.log"))
    assert len(logs) == found.counts["traceback"] and "KeyError" in logs[0].read_text()
    assert json.loads((tmp_path / "annotations-0.json").read_text())["counts"] == found.counts


# What was found


def test_the_type_of_a_chunk_breaks_no_line() -> None:
    data = png.insert(odd_images.pillow(odd_images.COLOUR, "PNG"), [(b"P0\ns", b"x")])
    with pytest.raises(UnsegError, match=r"the checksum of its chunk P0\\ns is wrong"):
        decode(data.replace(b"P0\nsx", b"P0\nsy"), "a.png")


def test_an_element_that_cannot_be_written_is_an_error_of_a_line() -> None:
    pytest.importorskip("pydicom")
    from odd_dicom import dicom

    data = dicom(odd_images.SCAN).replace(b"\x08\x00\x18\x00UI", b"\x08\x00\x18\x00Ui")
    found = decode(data, "a.dcm")
    with pytest.raises(UnsegError, match=r"^a.dcm cannot be written as DICOM \(.*\): repair it"):
        encode(found, "DICOM", "a.dcm")


def test_a_circle_that_is_too_large_is_no_crash(tmp_path: Path) -> None:
    shape = {"label": "x", "shape_type": "circle", "points": [[10, 10], [40, 1e308]]}
    body = {"imagePath": "a.jpg", "imageWidth": 80, "imageHeight": 60, "shapes": [shape]}
    (tmp_path / "a.json").write_text(json.dumps(body))
    [one] = read_annotations(tmp_path / "a.json").images.values()
    assert np.shape(fill_polygons(one.shapes[0].polygons, 80, 60)) == (60, 80)


def test_wild_numbers_of_bits_are_told_in_short() -> None:
    data = odd_images.tiff(np.dstack([odd_images.COLOUR] * 200), metadata=None, planarconfig=1)
    at = data.index(b"\x08\x00" * 100)
    with pytest.raises(UnsegError, match="bands of different bits") as caught:
        decode(data[:at] + b"\x09" + data[at + 1 :], "a.tif")
    assert len(str(caught.value)) < 200
