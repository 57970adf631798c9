"""People and objects by name: the two networks, what is made of them, and what records say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.conditions.build import _parsed
from unseg.evaluate.conditions.proposed import FoundMasks
from unseg.evaluate.problem import Problem
from unseg.images.photo import Photo
from unseg.masks.find import find_regions
from unseg.masks.regions import LabelRules
from unseg.masks.sources import SOURCES, load_sources
from unseg.masks.sources.found import AllMask, ObjectMask, PeopleMask
from unseg.masks.sources.whole import WholeImage
from unseg.models.finder import weights
from unseg.models.finder.detector import GRIDS, NAMES, Detections, anchors, decode, suppressed
from unseg.models.finder.objects import _one_each, find_objects
from unseg.models.finder.people import FoundObjects, PeopleConfig, find_people
from unseg.models.finder.weights import load_finder

RECORDED = Path(__file__).parent / "fixtures" / "finder.npz"


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """Small pictures of an astronaut, and what LiteRT 2.3.0 makes of them with the published files.

    NASA's photograph is in the public domain. Every pixel is a square of the networks' input.
    """
    return dict(np.load(RECORDED))


def enlarged(picture: np.ndarray, times: int) -> torch.Tensor:
    """(1, 3, H, W) float, every pixel a square."""
    large = picture.repeat(times, 0).repeat(times, 1)
    return torch.from_numpy(large).permute(2, 0, 1)[None].float()


def test_the_detector_is_the_published_one(recorded: dict[str, np.ndarray]) -> None:
    detector, _, _ = load_finder()
    pixels = enlarged(recorded["detector_input"], 5) / 127.5 - 1
    boxes, scores = detector(pixels)
    assert boxes.shape[1] == scores.shape[1] == len(anchors()) == 1917
    places = recorded["places"]
    np.testing.assert_allclose(boxes[0, places].numpy(), recorded["boxes"], atol=2e-4)
    np.testing.assert_allclose(scores[0, places].numpy(), recorded["scores"], atol=2e-4)


def test_the_person_model_is_the_published_one(recorded: dict[str, np.ndarray]) -> None:
    _, selfie, _ = load_finder()
    pixels = enlarged(recorded["selfie_input"], 4) / 255
    found = selfie(pixels)[0, 0].numpy()
    np.testing.assert_allclose(found[::4, ::4], recorded["selfie"], atol=2e-4)
    assert 0.05 < (found > 0.5).mean() < 0.95


def test_boxes_are_proposed_on_six_grids() -> None:
    first = anchors()[0]
    assert torch.allclose(first, torch.tensor([0.5 / 19, 0.5 / 19, 0.1, 0.1]))
    assert sum(side * side * (6 if i else 3) for i, side in enumerate(GRIDS)) == len(anchors())
    same = decode(torch.zeros(len(anchors()), 4))
    centre, size = anchors()[:, :2], anchors()[:, 2:]
    assert torch.allclose(same, torch.cat([centre - size / 2, centre + size / 2], 1))
    # An offset moves a box by its own size: 10 is the whole of it, and e^(5/5) is its growth.
    moved = decode(torch.tensor([[10.0, 0, 0, 0], [0, 0, 5, 0]]).repeat(959, 1)[:1917])
    assert torch.allclose(moved[0], same[0] + torch.tensor([0, 0.1, 0, 0.1]))
    assert torch.allclose(moved[1, 3] - moved[1, 1], anchors()[1, 3] * torch.e)


def test_the_surest_of_close_boxes_is_kept_in_each_class() -> None:
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.9], [0, 0, 0.4, 0.4]])
    assert suppressed(boxes, torch.tensor([1, 1, 2, 1]), 0.5) == [0, 2, 3]
    assert suppressed(boxes, torch.tensor([1, 1, 2, 1]), 0.95) == [0, 1, 2, 3]


def test_a_car_is_not_counted_as_a_vehicle_as_well() -> None:
    box = torch.tensor([[0.1, 0.1, 0.5, 0.5]])
    numbers = torch.tensor([NAMES.index(name) for name in ("vehicle", "dog", "car")])
    boxes = torch.cat([box, box + 0.5, box * 1.01])
    found = Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), numbers)
    assert _one_each(found, 0.5) == [2, 1]


class Boxes:
    """A detector of one's own: these boxes, whatever the image."""

    def __init__(self, *boxes: tuple[float, ...], name: str = "person") -> None:
        self.boxes, self.name = boxes, name

    def detect(self, image, least, overlap=0.5, classes=()) -> Detections:
        number = NAMES.index(self.name)
        boxes = torch.tensor(self.boxes if number in classes else []).reshape(-1, 4)
        return Detections(boxes, torch.ones(len(boxes)), torch.full((len(boxes),), number))


class Bright:
    """A person model of one's own: people are bright."""

    def people(self, image, windows) -> torch.Tensor:
        parts = [image[:1, top:bottom, left:right] for left, top, right, bottom in windows]
        small = [torch.nn.functional.interpolate(p[None], (256, 256)) for p in parts]
        return torch.cat(small)[:, 0] / 255


def drawn(*rectangles: tuple[int, int, int, int]) -> torch.Tensor:
    """(3, 100, 200): black, with white rectangles (left, top, right, bottom)."""
    image = torch.zeros(3, 100, 200)
    for left, top, right, bottom in rectangles:
        image[:, top:bottom, left:right] = 255
    return image


def test_every_person_is_a_number_of_their_own() -> None:
    image = drawn((20, 20, 40, 80), (120, 30, 150, 90))
    found = find_people(Boxes((0.6, 0.3, 0.75, 0.9), (0.1, 0.2, 0.2, 0.8)), Bright(), image)
    assert found.names == ("person", "person")
    assert int(found.numbers[50, 30]) == 2 and int(found.numbers[60, 135]) == 1
    inside = (found.numbers > 0).float().mean()
    assert abs(float(inside) - (20 * 60 + 30 * 60) / 20000) < 0.02


def test_a_box_that_the_person_model_does_not_confirm_is_no_person() -> None:
    image = drawn((20, 20, 40, 80))
    found = find_people(Boxes((0.1, 0.2, 0.2, 0.8), (0.6, 0.3, 0.75, 0.9)), Bright(), image)
    assert found.names == ("person",) and not found.numbers[:, 60:].any()


def test_a_box_inside_a_person_is_not_another_person() -> None:
    image = drawn((20, 20, 60, 80))
    found = find_people(Boxes((0.1, 0.2, 0.3, 0.8), (0.15, 0.3, 0.25, 0.6)), Bright(), image)
    assert found.names == ("person",)


def test_feet_below_a_box_are_found_but_nothing_far_from_it() -> None:
    image = drawn((20, 20, 40, 80), (90, 20, 110, 80))
    found = find_people(Boxes((0.1, 0.2, 0.2, 0.78)), Bright(), image).numbers > 0
    assert bool(found[79, 30]) and not found[:, 80:].any()


def test_a_box_that_ends_at_the_knees_grows_down_to_the_feet() -> None:
    found = find_people(Boxes((0.1, 0.2, 0.2, 0.65)), Bright(), drawn((20, 20, 40, 80)))
    assert found.names == ("person",) and bool(found.numbers[78, 30])
    # Beside the person there is nothing more to find.
    assert not found.numbers[:, 45:].any() and not found.numbers[84:].any()


def test_where_nobody_is_detected_nobody_is_found() -> None:
    found = find_people(Boxes(), Bright(), drawn((50, 0, 150, 100)))
    assert found.names == () and not found.numbers.any()


def test_people_are_not_more_than_the_most() -> None:
    boxes = [(0.05 * i, 0.2, 0.05 * i + 0.04, 0.8) for i in range(10)]
    image = drawn(*((10 * i, 20, 10 * i + 8, 80) for i in range(10)))
    config = PeopleConfig(most=3)
    assert len(find_people(Boxes(*boxes), Bright(), image, config).names) == 3


class Outlines:
    """A base SAM of one's own is too much: what a box holds is its middle."""

    name = "other"


def boxed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw boxes as they are."""

    def draw(base, image, boxes) -> torch.Tensor:
        index = torch.zeros(image.shape[-2:], dtype=torch.int64)
        for number, (left, top, right, bottom) in enumerate(boxes.round().int().tolist(), 1):
            index[top:bottom, left:right] = number
        return index

    monkeypatch.setattr("unseg.models.finder.objects.masks_of_boxes", draw)


def nobody() -> FoundObjects:
    return FoundObjects(torch.zeros(100, 200, dtype=torch.int64), ())


def test_objects_come_after_people_and_leave_them_their_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxed(monkeypatch)
    numbers = torch.zeros(100, 200, dtype=torch.int64)
    numbers[20:80, 20:40] = 1
    people = FoundObjects(numbers, ("person",))
    dog = Boxes((0.15, 0.5, 0.5, 0.9), name="dog")
    found = find_objects(dog, Outlines(), drawn(), people)
    assert found.names == ("person", "dog")
    assert int(found.numbers[60, 30]) == 1 and int(found.numbers[60, 60]) == 2


def test_shoes_on_a_person_are_no_objects_but_shoes_alone_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxed(monkeypatch)
    shoe = Boxes((0.1, 0.7, 0.2, 0.85), name="high heel")
    assert find_objects(shoe, Outlines(), drawn(), nobody()).names == ("shoe",)
    numbers = torch.zeros(100, 200, dtype=torch.int64)
    numbers[20:80, 20:40] = 1
    worn = find_objects(shoe, Outlines(), drawn(), FoundObjects(numbers, ("person",)))
    assert worn.names == ("person",)


def photo(*rectangles: tuple[int, int, int, int]) -> Photo:
    return Photo(drawn(*rectangles).permute(1, 2, 0).byte().numpy())


def test_the_regions_say_who_was_found() -> None:
    source = PeopleMask(Boxes((0.1, 0.2, 0.2, 0.8), (0.6, 0.3, 0.75, 0.9)), Bright(), None)
    found = find_regions(
        photo((20, 20, 40, 80), (120, 30, 150, 90)), [source, WholeImage()], LabelRules()
    )
    assert found.source == "people" and found.objects == {"person": 2}
    nothing = find_regions(photo(), [source, WholeImage()], LabelRules())
    assert nothing.source == "whole-image" and "no people were found" in (nothing.note or "")
    with pytest.raises(UnsegError, match="no people were found"):
        find_regions(photo(), [source], LabelRules())


def test_all_adds_what_stands_out_and_was_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = np.zeros((100, 200), bool)
    standing[20:80, 15:45] = standing[10:30, 160:190] = True
    monkeypatch.setattr(
        "unseg.masks.sources.found.salient_mask", lambda *_: (torch.from_numpy(standing), 2)
    )
    objects = ObjectMask(Boxes((0.1, 0.2, 0.2, 0.8)), Bright(), Outlines())
    found = AllMask(objects, torch.nn.Identity()).find(photo((20, 20, 40, 80)), "a.jpg")
    assert found is not None and found.objects == {"person": 1, "region": 1}
    values = found.labels.values
    assert values[20, 170] and values[50, 30] and not values[50, 43] and not values[90, 190]


def test_find_takes_their_names_and_each_has_its_own_identity() -> None:
    for name in ("people", "objects", "all"):
        SOURCES.check(name)

    class Loaded:
        device, base, salience_head = "cpu", None, None

    sources = load_sources(["people", "objects", "all"], Loaded())  # type: ignore[arg-type]
    identities = {source.identity("a.jpg") for source in sources}
    assert len(identities) == 3 and all(weights.load_finder()[2] in one for one in identities)


def test_a_condition_takes_the_sources_that_are_named() -> None:
    asked = _parsed("unseg-found(find=people/whole-image)@80")
    assert asked.name == "unseg-found" and asked.share == 0.8
    source = PeopleMask(Boxes((0.1, 0.2, 0.2, 0.8)), Bright(), None, "abc")
    condition = FoundMasks(CONDITIONS.build("random"), [source], find="people")
    assert condition.label.endswith("-found(people)")
    assert condition.identity()["finder_id"] == ["people abc"]
    truth = np.zeros((100, 200), bool)
    truth[:, :5] = True
    problem = Problem("semantic", ("background", "person"))
    for rectangles, share in (([(20, 20, 40, 80)], 0.06), ([], 0.0)):
        sample = Sample("a", photo(*rectangles).pixels, truth)
        changed = condition.publish([sample], problem, 0)[0]
        # The noise's background bound may reach all pixels: what is strong lies in what was found.
        strong = np.abs(changed.image.astype(int) - sample.image).max(2) > 2
        assert strong.mean() <= share + 0.01 and (share == 0 or strong[25:75, 22:38].any())
        assert (changed.class_map == truth).all()


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_finder.cache_clear()
    (tmp_path / "assets").mkdir()
    monkeypatch.setattr(weights.resources, "files", lambda _: tmp_path)
    with pytest.raises(UnsegError, match=r"finder-1\.safetensors is not a file: .*install it"):
        load_finder()
    (tmp_path / "assets" / "finder-1.safetensors").write_bytes(b"other")
    with pytest.raises(UnsegError, match=r"finder-1\.safetensors is damaged"):
        load_finder()


def test_the_documentation_has_the_figures_that_were_measured() -> None:
    folder = Path(__file__).parents[1] / "docs" / "finding"
    text = (folder / "README.md").read_text()
    rows = json.loads((folder / "results.json").read_text())
    assert rows
    for row in rows:
        # IoU, that of the images' mean, recall, precision; a set without people has none.
        figures = [row[name] for name in ("iou", "mean_iou", "recall", "precision")]
        cells = ["-" if value is None else f"{value:.3f}" for value in figures]
        line = f"| {row['set']} | {row['source']} | {row['images']} | {' | '.join(cells)} |"
        assert line in text, line
