"""Points and boxes in one image: ``--point``, ``--not``, ``--box`` and ``mask_of_points``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

import unseg
from noise_stub import WaveSource, noises, photo
from unseg.errors import UnsegError
from unseg.masks import clicks
from unseg.masks.clicks import Clicks
from unseg.models import clicked

Cli = Callable[..., tuple[int, str, str]]


class Discs:
    """Stands in for the base: a disc around every point, without those around points beside it."""

    def __init__(self, base: object, image: Tensor) -> None:
        self.height, self.width = image.shape[1:]

    def logits(
        self,
        on: Sequence[tuple[float, float]] = (),
        off: Sequence[tuple[float, float]] = (),
        box: Sequence[float] | None = None,
    ) -> Tensor:
        # One prompt is one object: it lies around the first point.
        found = self._disc(on[:1], 6) & ~self._disc(off, 3)
        logits = torch.where(found, 1.0, -1.0)
        if box is not None:
            left, top, right, bottom = map(int, box)
            inside = torch.zeros_like(found)
            inside[top:bottom, left:right] = True
            logits = torch.where(inside, logits if on else torch.tensor(0.5), -torch.inf)
        return logits

    def _disc(self, points: Sequence[tuple[float, float]], radius: float) -> Tensor:
        y, x = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        found = torch.zeros(self.height, self.width, dtype=torch.bool)
        for column, row in points:
            found |= (x - column) ** 2 + (y - row) ** 2 <= radius**2
        return found


@pytest.fixture
def discs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clicks, "AskedImage", Discs)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A photograph of 60 x 40."""
    path = tmp_path / "photo.png"
    Image.fromarray(photo()).save(path)
    return path


def mask_in(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) > 0


@pytest.mark.usefixtures("discs")
def test_clicks_are_the_mask_and_the_record_says_so(cli: Cli, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, err = cli("protect", file, "-o", out, "--point", "20,20", "--not", "24,20")
    assert code == 0, text + err
    [record] = map(json.loads, (out / "unseg-manifest.jsonl").read_text().splitlines())
    assert record["mask_source"] == "clicked" and record["status"] == "protected"
    mask = mask_in(out / record["mask"])
    assert mask[20, 15] and not mask[20, 24] and not mask[20, 40]
    # The same command resumes, another point does not.
    line = ("protect", file, "-o", out, "--resume", "--json", "--not", "24,20", "--point")
    kept = [
        json.loads(cli(*line, point)[1])["totals"]["kept_from_earlier_run"]
        for point in ("20,20", "19,20")
    ]
    assert kept == [1, 0]
    code, _, err = cli("protect", file, "-o", tmp_path / "one.png", "--box", "5,5,30,30", "--json")
    assert code == 0, err
    record = json.loads((tmp_path / "one.png.unseg.json").read_text())["record"]
    assert record["mask_source"] == "clicked"
    assert record["foreground_share"] == pytest.approx(25 * 25 / 2400, abs=1e-6)


@pytest.mark.usefixtures("discs")
def test_masks_draws_what_is_clicked(cli: Cli, file: Path, tmp_path: Path) -> None:
    code, text, err = cli("masks", file, "-o", tmp_path / "m", "--point", "20,20")
    assert code == 0 and "1 masks" in text, err
    assert mask_in(tmp_path / "m" / "photo.png")[20, 20]
    boxes = ("--box", "0,0,20,40", "--box", "40,0,60,40", "--target", "instance")
    code, _, err = cli("masks", file, "-o", tmp_path / "i", *boxes, "--point", "30,20")
    assert code == 0, err
    values = np.asarray(Image.open(tmp_path / "i" / "photo.png"))
    assert [values[20, x] for x in (2, 58, 30, 22)] == [1, 2, 3, 0 if values[20, 22] == 0 else 3]
    assert values.max() == 3


def test_points_in_a_box_say_more_of_it_and_others_are_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []

    class Asked(Discs):
        def logits(self, on: Any = (), off: Any = (), box: Any = None) -> Tensor:
            asked.append((list(on), list(off), box))
            return super().logits(on, off, box)

    monkeypatch.setattr(clicks, "AskedImage", Asked)
    protector = unseg.Protector(noises(WaveSource()), base=object())  # type: ignore[arg-type]
    mask = protector.mask_of_points(
        photo(), [(10, 10), (50, 30), (30, 20), (12, 12)], [1, 1, 1, 0], box=(0, 0, 20, 20)
    )
    assert asked == [
        ([(10, 10)], [(12, 12)], (0, 0, 20, 20)),
        ([(50, 30), (30, 20)], [(12, 12)], None),
        ([(30, 20)], [(12, 12)], None),  # the answer to both left it out
    ]
    assert mask.dtype == bool and mask.shape == (40, 60)
    assert mask[10, 7] and mask[30, 50] and mask[20, 30] and not mask[12, 12]


@pytest.mark.usefixtures("discs")
def test_coordinates_are_of_the_image_as_it_is_shown(cli: Cli, tmp_path: Path) -> None:
    image = Image.fromarray(photo())
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    code, _, err = cli("masks", tmp_path / "turned.jpg", "-o", tmp_path / "m", "--point", "20,55")
    assert code == 0, err
    mask = mask_in(tmp_path / "m" / "turned.png")
    assert mask.shape == (60, 40) and mask[55, 20] and not mask[5, 20]
    code, _, err = cli("masks", tmp_path / "turned.jpg", "-o", tmp_path / "n", "--point", "55,20")
    assert code == 1 and "the point 55,20 is outside turned.jpg, which is 40x60" in err


@pytest.mark.usefixtures("discs")
def test_large_photographs_are_asked_in_the_models_pixels() -> None:
    protector = unseg.Protector(noises(WaveSource()), base=object())  # type: ignore[arg-type]
    mask = protector.mask_of_points(photo(200, 4096), [(4000, 100)], [1])
    rows, columns = np.nonzero(mask)
    assert mask.shape == (200, 4096) and abs(columns.mean() - 4000) < 2 > abs(rows.mean() - 100)
    assert 20 <= np.ptp(columns) <= 28  # a disc of 6 in an image of half the size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--point", "60,10"), "the point 60,10 is outside photo.png, which is 60x40"),
        (("--point", "-1,10"), "the point -1,10 is outside photo.png, which is 60x40"),
        (("--box", "5,5,70,30"), "the box 5,5,70,30 is outside photo.png, which is 60x40"),
    ],
)
@pytest.mark.usefixtures("discs")
def test_places_outside_the_image_name_its_size(
    cli: Cli, file: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    code, _, err = cli("protect", file, "-o", tmp_path / "out", *options)
    assert code == 1 and message in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--not", "5,5"), "--not 5,5 says what is not the object"),
        (("--point", "5"), "--point 5: expected x,y such as 200,220, in pixels"),
        (("--point", "a,b"), "--point a,b: expected x,y"),
        (("--point", "nan,1"), "points holds (nan, 1.0): expected x, y in pixels"),
        (("--box", "1,2,3"), "--box 1,2,3: expected left,top,right,bottom such as"),
        (("--box", "9,2,3,4"), "the box 9,2,3,4 is empty"),
        (("--point", "5,5", "--target", "class"), "--target class needs labels"),
        (("--point", "5,5", "--classes", "3"), "--classes needs labels"),
        (("--point", "5,5", "--masks", "."), "give one of them"),
        (("--point", "5,5", "--boxes", "x.json"), "give one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    cli: Cli, file: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    line = [str(tmp_path / "masks") if one == "." else one for one in options]
    (tmp_path / "masks").mkdir()
    code, _, err = cli("protect", file, "-o", tmp_path / "out", *line)
    assert code == 2 and message in " ".join(err.split())


@pytest.mark.parametrize("command", ["protect", "masks"])
def test_folders_are_refused(cli: Cli, file: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "photos").mkdir()
    for inputs in ([tmp_path / "photos"], [file, file]):
        code, _, err = cli(command, *inputs, "-o", tmp_path / "out", "--point", "5,5")
        assert code == 2 and "give a single image" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_clicks_that_failed_are_told(
    monkeypatch: pytest.MonkeyPatch, cli: Cli, file: Path, tmp_path: Path
) -> None:
    class Deaf(Discs):
        def logits(self, on: Any = (), off: Any = (), box: Any = None) -> Tensor:
            return super().logits([(20, 20)], (), None)

    monkeypatch.setattr(clicks, "AskedImage", Deaf)
    out = tmp_path / "out"
    code, text, _ = cli(
        "protect", file, "-o", out, "--point", "20,20", "--point", "50,5", "--not", "20,21"
    )
    assert code == 3
    assert "no object was found at the point 50,5" in text
    assert "the mask still covers the point 20,21" in text

    class Blind(Discs):
        def logits(self, on: Any = (), off: Any = (), box: Any = None) -> Tensor:
            return torch.full((self.height, self.width), -1.0)

    monkeypatch.setattr(clicks, "AskedImage", Blind)
    code, _, err = cli("protect", file, "-o", tmp_path / "b", "--point", "20,20")
    assert code == 1 and "photo.png: nothing was found at 20,20" in " ".join(err.split())


def test_one_point_means_the_whole_where_the_model_is_nearly_as_sure() -> None:
    masks = -torch.ones(3, 10, 10)
    masks[0, 4:6, 4:6] = masks[1, 3:8, 3:8] = masks[2, 1:9, 1:9] = 1
    choose = clicked._whole
    assert choose(masks, torch.tensor([0.95, 0.93, 0.92]), (5.0, 5.0)) == 2
    assert choose(masks, torch.tensor([0.95, 0.93, 0.70]), (5.0, 5.0)) == 1
    assert choose(masks, torch.tensor([0.95, 0.80, 0.70]), (5.0, 5.0)) == 0
    # A mask that does not hold the point is not meant, however sure the model is of it.
    assert choose(masks, torch.tensor([0.95, 0.80, 0.70]), (7.0, 7.0)) == 1
    assert choose(masks, torch.tensor([0.95, 0.80, 0.70]), (0.0, 0.0)) == 0


def test_labels_are_checked() -> None:
    protector = unseg.Protector(noises(WaveSource()), base=object())  # type: ignore[arg-type]
    with pytest.raises(UnsegError, match=r"1 points have the labels \[2\]"):
        protector.mask_of_points(photo(), [(1, 1)], [2])
    with pytest.raises(UnsegError, match="no point on an object and no box"):
        protector.mask_of_points(photo(), [(1, 1)], [0])
    with pytest.raises(UnsegError, match=r"Protector\.from_pretrained"):
        unseg.Protector(noises(WaveSource())).mask_of_points(photo(), [(1, 1)], [1])
    with pytest.raises(UnsegError, match="expected left, top, right, bottom in pixels"):
        Clicks(boxes=((1, 2, 3),))  # type: ignore[arg-type]


def test_the_shipped_base_outlines_what_is_clicked() -> None:
    """A bright disc on a dark ground, found by a click, without its lower half by a box."""
    rows, columns = np.mgrid[:192, :256]
    disc = (columns - 170) ** 2 + (rows - 90) ** 2 < 45**2
    rng = np.random.default_rng(0)
    image = np.where(disc[..., None], (220, 190, 60), (40, 60, 90)) + rng.normal(
        0, 4, (192, 256, 3)
    )
    image = image.clip(0, 255).astype(np.uint8)
    protector = unseg.Protector.from_pretrained(device="cpu")

    def iou(mask: np.ndarray, truth: np.ndarray) -> float:
        return float((mask & truth).sum() / (mask | truth).sum())

    found = protector.mask_of_points(image, [(165, 80), (20, 20)], [1, 0])
    assert iou(found, disc) > 0.9
    assert iou(protector.mask_of_points(image, [(165, 80)], [1]), disc) > 0.9
    boxed = protector.mask_of_points(image, [], [], box=(120, 40, 220, 140))
    assert iou(boxed, disc) > 0.9
    result = protector.protect(image, found, visibility="strong")
    assert result.mask_source == "given" and result.change.inside > result.change.outside
