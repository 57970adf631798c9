"""The whole protocol, run as a user runs it, on a tiny data set made here in COCO layout."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as rle
from PIL import Image

from unseg.datasets.samples import LazySamples, Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.bench import Bench
from unseg.evaluate.build import build_victim
from unseg.evaluate.change import JUDGED, visible
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.conditions.mixed import Mixed
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.defences.base import NoDefence
from unseg.evaluate.defences.jpeg import Jpeg
from unseg.evaluate.protocol import Run, publish, run
from unseg.evaluate.results import ResultStore
from unseg.evaluate.suites.base import Recipe
from unseg.evaluate.tasks import TASKS, Task
from unseg.evaluate.tasks.base import foreground_scores
from unseg.evaluate.victims import VICTIMS, Victim
from unseg.evaluate.victims.base import InteractiveVictim
from unseg.evaluate.victims.semantic import SemanticVictim
from unseg.evaluate.victims.training import TrainedVictim
from unseg.evaluate.victims.unet import UNetVictim
from unseg.noise import Budget
from unseg.protect.judge import visibility_score


def write_coco(root: Path, train: int = 10, test: int = 3) -> Path:
    """Bright ellipses on dark texture: what a victim learns in a few steps."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    number = 0
    for part, count in (("train", train), ("test", test)):
        images, annotations = [], []
        for _ in range(count):
            number += 1
            height, width = int(rng.integers(64, 90)), int(rng.integers(64, 110))
            rows, columns = np.mgrid[:height, :width]
            cy, cx = rng.uniform(0.35, 0.65) * height, rng.uniform(0.35, 0.65) * width
            mask = ((rows - cy) / 22) ** 2 + ((columns - cx) / 16) ** 2 < 1
            image = rng.integers(0, 90, (height, width, 3))
            image[mask] += 130
            name = f"photo{number:02d}.png"
            Image.fromarray(image.astype(np.uint8)).save(root / "images" / name)
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            # Two annotations an image: their union is the foreground.
            for half in (mask & (rows < cy), mask & (rows >= cy)):
                encoded = rle.encode(np.asfortranarray(half.astype(np.uint8)))
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": 1,
                    "iscrowd": 0, "area": int(half.sum()), "bbox": [0, 0, width, height],
                    "segmentation": {
                        "size": encoded["size"], "counts": encoded["counts"].decode(),
                    },
                })  # fmt: skip
        body = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
        }
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(body))
    return root


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco") / "set")


def quick(**settings):
    return VICTIMS.build(
        "unet", **{"steps": 6, "size": 64, "crop": 64, "width": 4, "batch_size": 4, **settings}
    )


def test_a_user_gets_a_table_and_a_second_run_reuses_every_result(
    coco: Path, tmp_path: Path, cli
) -> None:
    out, table = tmp_path / "results", tmp_path / "docs" / "table.md"
    line = (
        "person", "--data", coco, "-o", out, "--conditions", "clean,random",
        "--defences", "none,jpeg75", "--seeds", "1", "--steps", 2, "--size", 64,
        "--table", table,
    )  # fmt: skip
    code, first, err = cli("evaluate", *line)
    assert code == 0, err
    assert "| training images | none | jpeg75 |" in first
    assert "4/4" in err and "min left" in err
    files = {path: path.read_bytes() for path in out.glob("*.json")}
    assert len(files) == 4
    assert first.strip() in table.read_text() and "unseg evaluate" in table.read_text()

    # One lost result is made again, to the same figure; the others are not touched.
    lost = next(path for path in files if "-random-jpeg75-s1-" in path.name)
    lost.unlink()
    code, _, err = cli("evaluate", *line, "--stored")
    assert code == 0 and "3/3" in err and not lost.exists()
    code, again, err = cli("evaluate", *line)
    assert code == 0, err
    assert err.count("already there") == 3 and again == first
    for path, body in files.items():
        before, after = json.loads(body), json.loads(path.read_bytes())
        assert path == lost or body == path.read_bytes()
        assert (before["key"], before["scores"]) == (after["key"], after["scores"])

    record = json.loads(lost.read_text())
    assert record["provenance"]["versions"]["torch"] and record["provenance"]["seed"] == 1
    assert record["config"]["task"]["data_sha256"] == record["provenance"]["data_sha256"]
    assert record["config"]["condition"]["budget"] == {"foreground": 8.0, "background": 2.0}
    assert record["change"]["inside"] == 8 and record["change"]["outside"] == 2
    assert set(record["seconds"]) == {"condition", "training", "test"}


def test_list_says_what_there_is(cli) -> None:
    found = json.loads(cli("evaluate", "--list", "--json")[1])
    assert {"person", "ccp"} <= set(found["tasks"]) and "unet" in found["victims"]
    assert {"clean", "random", "pattern", "unseg"} <= set(found["conditions"])
    assert {"none", "jpeg75", "resize50"} <= set(found["defences"])
    assert "suites" in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["person"], "evaluate needs a task, --data and -o"),
        (["cats", "--data", "{}", "-o", "r"], "cats is not a task: choose from person"),
        (["person", "--data", "{}", "-o", "r", "--conditions", "clen"], "clen is not a condition"),
        (["person", "--data", "{}", "-o", "r", "--seeds", "a"], "--seeds a: expected numbers"),
        (["person", "--data", "{}", "-o", "r", "--part", "all"], "--part all: expected test or"),
        (["person", "--data", "{}", "-o", "r", "--size", "20"], "size is 20: give at"),
        (["person", "--data", "{}", "-o", "r", "--eps", "-1"], "budget foreground is -1"),
        (["person", "--data", "nowhere", "-o", "r", "--conditions", "clean"],
         "instances_train.json is missing: expected --data to be a folder with images/"),
    ],
)  # fmt: skip
def test_wrong_use_gets_one_clear_line(
    arguments: list[str], message: str, coco: Path, cli, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("evaluate", *(str(coco) if word == "{}" else word for word in arguments))
    assert code == 2
    assert message in err and len(err.strip().splitlines()) == 1


def test_the_coco_reader_joins_instances_and_splits_off_validation(coco: Path) -> None:
    task = TASKS.build("person")
    split = task.load(coco)
    assert (len(split.train), len(split.test)) == (10, 3)
    for one in split.train:
        bright = one.image.min(axis=2) > 110
        np.testing.assert_array_equal(one.mask, bright)
    tuning = task.load(coco, "val")
    assert (len(tuning.train), len(tuning.test)) == (8, 2)
    names = {one.name for one in split.test}
    assert not names & {one.name for one in (*tuning.train, *tuning.test)}
    assert tuning.sha256 != split.sha256


def test_damaged_annotations_are_named(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set", 2, 1)
    (root / "annotations" / "instances_test.json").write_text("{")
    with pytest.raises(UnsegError, match=r"instances_test\.json is not a COCO instance file"):
        TASKS.build("person").load(root)
    (root / "images" / "photo01.png").unlink()
    with pytest.raises(UnsegError, match=r"photo01\.png is missing"):
        TASKS.build("person").load(root)


def test_ccp_reads_label_maps_and_holds_out_every_fifth(tmp_path: Path) -> None:
    (tmp_path / "im").mkdir()
    (tmp_path / "gt").mkdir()
    for i in range(12):
        Image.new("RGB", (20, 30), (i, 0, 0)).save(tmp_path / "im" / f"{i:04d}.jpg")
        label = np.zeros((30, 20), dtype=np.uint8)
        label[:10] = 7
        Image.fromarray(label).save(tmp_path / "gt" / f"{i:04d}.png")
    split = TASKS.build("ccp").load(tmp_path)
    assert [one.name for one in split.test] == ["0000", "0005", "0010"]
    assert len(split.train) == 9 and split.train[0].mask.sum() == 200
    with pytest.raises(UnsegError, match=r"holds no \.jpg"):
        TASKS.build("ccp").load(tmp_path / "gt")


def test_scores_are_over_all_pixels_together() -> None:
    masks = [np.array([[True, True]]), np.array([[False, True]])]
    samples = [Sample(str(i), np.zeros((1, 2, 3), np.uint8), m) for i, m in enumerate(masks)]
    found = [torch.tensor([[1, 0]]), torch.tensor([[1, 1]])]
    scores = foreground_scores(zip(found, samples, strict=True))
    # Two true positives, one false positive, one false negative, no true negative.
    assert scores["iou"] == pytest.approx(2 / 4)
    assert scores["background_iou"] == 0
    assert scores["dice"] == pytest.approx(4 / 6)
    assert scores["precision"] == scores["recall"] == pytest.approx(2 / 3)


def test_the_seed_decides_the_figure(coco: Path) -> None:
    bench = Bench(TASKS.build("person"), coco)
    clean, none = Clean(), NoDefence()
    first, again = (run(Run.of(bench, quick(), clean, none, 5)) for _ in range(2))
    assert first.scores == again.scores and first.losses == again.losses
    assert first.key == again.key
    other = run(Run.of(bench, quick(), clean, none, 6))
    assert other.losses != first.losses and other.key != first.key


def test_a_victim_learns_and_a_shortcut_stops_it(coco: Path) -> None:
    """The instrument measures: clean training works, training on a leaked answer does not."""

    class Leak(Condition):
        name, summary, seeded = "leak", "the mask in the pixels", False

        def apply(self, sample: Sample, seed: int) -> np.ndarray:
            # Dark objects on bright ground: the opposite of what the clean images hold.
            return np.repeat(np.where(sample.mask, 40, 200)[..., None], 3, 2).astype(np.uint8)

    bench = Bench(TASKS.build("person"), coco)
    victim = {"steps": 40, "width": 8, "learning_rate": 1e-2}
    clean = run(Run.of(bench, quick(**victim), Clean(), NoDefence()))
    leak = run(Run.of(bench, quick(**victim), Leak(budget=Budget(255, 255)), NoDefence()))
    assert clean.value > 0.7
    assert leak.value < 0.6 * clean.value


def test_a_condition_that_breaks_its_bound_is_an_error(coco: Path) -> None:
    class Cheat(Condition):
        name, summary, seeded = "cheat", "more than the budget", False

        def apply(self, sample: Sample, seed: int) -> np.ndarray:
            return sample.image // 2

    with pytest.raises(RuntimeError, match="breaks its bound"):
        publish(Run.of(Bench(TASKS.build("person"), coco), quick(), Cheat(), NoDefence()))


def test_every_setting_that_matters_changes_the_key(coco: Path, tmp_path: Path) -> None:
    bench = Bench(TASKS.build("person"), coco)
    none, jpeg = DEFENCES.build("none"), DEFENCES.build("jpeg75")
    cells = [
        (bench, quick(), Pattern(), none, 0),
        (bench, quick(), Pattern(), none, 1),
        (bench, quick(), Pattern(), jpeg, 0),
        (bench, quick(), Pattern(block=8), none, 0),
        (bench, quick(), Pattern(budget=Budget(8, 4)), none, 0),
        (bench, quick(steps=7), Pattern(), none, 0),
        (Bench(TASKS.build("person"), coco, "val"), quick(), Pattern(), none, 0),
    ]
    keys = [Run.of(*cell).key for cell in cells]
    assert len(set(keys)) == len(keys)
    assert Run.of(*cells[0]).key == keys[0]


def test_damaged_results_are_named(coco: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    bench = Bench(TASKS.build("person"), coco)
    result = run(Run.of(bench, quick(steps=1), Clean(), NoDefence()), store=store)
    [path] = tmp_path.glob("*.json")
    assert store.find(result.key) == result
    edited = json.loads(path.read_text())
    edited["config"]["seed"] = 9
    path.write_text(json.dumps(edited))
    with pytest.raises(UnsegError, match="was edited: its key does not match"):
        store.all()
    path.write_text("{")
    with pytest.raises(UnsegError, match="is not a result file"):
        store.find(result.key)


def test_results_of_another_format_are_named_with_what_to_do(coco: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    bench = Bench(TASKS.build("person"), coco)
    run(Run.of(bench, quick(steps=1), Clean(), NoDefence()), store=store)
    [path] = tmp_path.glob("*.json")
    body = json.loads(path.read_text())
    assert next(iter(body)) == "format" and body["format"] == 2
    for known, said in ((None, "format 1 .* run it again"), (3, "format 3 .* a newer version")):
        body.pop("format", None)
        path.write_text(json.dumps(body if known is None else {"format": known, **body}))
        with pytest.raises(UnsegError, match=rf"{path.name} is a result file of {said}"):
            store.all()


def test_a_result_of_other_parts_of_the_same_files_is_not_served(coco: Path) -> None:
    class Exchanged(TASKS.load("person")):  # type: ignore[misc]
        def load(self, root: Path, part: str = "test") -> Split:
            found = super().load(root, part)
            return Split(found.train[1:], (*found.test, found.train[0]), found.sha256)

    keys = {
        Run.of(Bench(task, coco), quick(steps=1), Clean(), NoDefence()).key
        for task in (TASKS.build("person"), Exchanged())
    }
    assert len(keys) == 2


def test_data_is_read_again_after_it_was_let_go(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set", 3, 1)
    bench = Bench(TASKS.build("person"), root)
    before = [one.name for one in bench.split.train]
    bench.release()
    assert not bench.held and [one.name for one in bench.split.train] == before
    bench.release()
    image = root / "images" / "photo01.png"
    with Image.open(image) as picture:
        size = picture.size
    Image.new("RGB", size).save(image)
    with pytest.raises(UnsegError, match="changed since it was first read"):
        _ = bench.split


def test_a_revision_makes_another_key(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(TASKS.build("person"), coco)
    keys = [Run.of(bench, quick(), Pattern(), Jpeg()).key]
    for kind in (type(bench.task), UNetVictim, Pattern, Jpeg):
        with monkeypatch.context() as patch:
            patch.setattr(kind, "revision", 99)
            keys.append(Run.of(bench, quick(), Pattern(), Jpeg()).key)
    assert len(set(keys)) == 5
    # What is made of another condition has that one's revision in its identity.
    before = Mixed(Pattern(), 0.5).identity()
    monkeypatch.setattr(Pattern, "revision", 2)
    assert Mixed(Pattern(), 0.5).identity() != before


class Halved(Victim):
    """A victim that cannot answer."""

    name, summary, kinds = "halved", "cannot answer", frozenset({"semantic"})

    def fit(self, samples, problem, training):
        return [0.0]


def test_what_lacks_a_method_cannot_be_made() -> None:
    """It would train first, and fail then."""
    with pytest.raises(UnsegError) as caught:
        VICTIMS.build(f"{__name__}:Halved")
    assert "predict" in str(caught.value) and "\n" not in str(caught.value)
    for kind in (Task, Victim, InteractiveVictim, TrainedVictim, SemanticVictim, Condition):
        with pytest.raises(TypeError, match="abstract"):
            kind()


def test_a_training_that_diverges_is_no_figure(coco: Path) -> None:
    bench = Bench(TASKS.build("person"), coco)
    planned = Run.of(bench, quick(learning_rate=1e30), Clean(), NoDefence())
    with pytest.raises(UnsegError, match=r"loss is (nan|inf) at step . of 6.* lower learning_rate"):
        run(planned)


def test_one_image_is_too_few(tmp_path: Path) -> None:
    for part in ("im", "gt"):
        (tmp_path / part).mkdir()
    grey = np.full((40, 40, 3), 120, np.uint8)
    Image.fromarray(grey).save(tmp_path / "im" / "a.jpg")
    Image.fromarray(grey[..., 0]).save(tmp_path / "gt" / "a.png")
    with pytest.raises(UnsegError, match="0 images to train on and 1 to test on"):
        Bench(TASKS.build("ccp"), tmp_path)


VICTIM = """
from unseg.evaluate.victims.unet import UNetVictim

class Nameless(UNetVictim):
    pass

class Named(UNetVictim):
    name = "named"
"""


def test_a_users_own_victim_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_victims.py").write_text(VICTIM)
    (tmp_path / "broken_victims.py").write_text("1 +")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = build_victim(Recipe.of("own_victims:Named"))
    assert found.origin["origin"] == "own_victims:Named" and len(found.origin["sha256"]) == 64
    for name, message in (
        ("own_victims:Nameless", "give Nameless its own `name`"),
        ("broken_victims:Any", "cannot be imported \\(SyntaxError"),
        (":Any", "expected module:Name"),
    ):
        with pytest.raises(UnsegError, match=message):
            build_victim(Recipe.of(name))


def test_what_fails_costs_the_other_conditions_nothing(coco: Path, tmp_path: Path, cli) -> None:
    line = (
        "evaluate",
        "person",
        "--data",
        coco,
        "-o",
        tmp_path / "r",
        "--steps",
        2,
        "--size",
        64,
        "--seed",
        0,
    )
    code, out, err = cli(*line, "--conditions", "clean,random[Car],pattern")
    assert code == 2 and "no class Car" in err and "pattern" in out
    (tmp_path / "file").write_text("")
    code, _, err = cli(*line[:5], tmp_path / "file", *line[6:])
    assert code == 2 and "cannot be written: " in err


def test_results_say_how_far_the_noise_is_seen(coco: Path, tmp_path: Path) -> None:
    bench = Bench(TASKS.build("person"), coco)
    clean, shown = (
        run(Run.of(bench, quick(), condition, NoDefence()), store=ResultStore(tmp_path))
        for condition in (Clean(), Pattern())
    )
    assert clean.visibility == {}
    assert shown.resolution == quick().settings()["size"]
    train = bench.split.train
    scores = [
        visibility_score(
            before.image, Pattern().publish([before], bench.task.problem, 0)[0].image, before.mask
        )
        for before in train
    ]
    assert shown.visibility == {
        "mean": pytest.approx(sum(scores) / len(scores)), "lowest": pytest.approx(min(scores)),
        "images": len(train),
    }  # fmt: skip
    assert {one.key: one.visibility for one in ResultStore(tmp_path).all()} == {
        clean.key: {}, shown.key: shown.visibility,
    }  # fmt: skip


def test_the_images_that_are_judged_are_spread_and_changed_ones() -> None:
    rng = np.random.default_rng(0)
    one = Sample("x", rng.integers(0, 256, (40, 50, 3), dtype=np.uint8), np.ones((40, 50), bool))
    clean = [replace(one, name=f"{i:03}") for i in range(3 * JUDGED)]
    asked: list[int] = []

    def read(i: int) -> Sample:
        asked.append(i)
        # A third stays as it was, as in a mixed set.
        return clean[i] if i % 9 == 0 else replace(clean[i], image=clean[i].image ^ np.uint8(1))

    found = visible(clean, LazySamples([c.name for c in clean], read))
    assert asked == list(range(0, 3 * JUDGED, 3))
    assert found is not None and found.images == JUDGED * 2 // 3 and found.lowest < found.mean + 1
    assert visible(clean, clean) is None
