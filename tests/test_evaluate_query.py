"""Objects: their tasks, their figures, and the victims that answer with queries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import layouts
from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.bench import Bench
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.problem import Instances, Panoptic, Problem
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.detection import DetectionTask
from unseg.evaluate.tasks.instance import InstanceTask
from unseg.evaluate.tasks.panoptic import PanopticTask, panoptic_quality
from unseg.evaluate.victims.autobackbone import Pyramid, PyramidConfig
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.loader import MEAN, Augmentation
from unseg.evaluate.victims.mask2former import Mask2FormerVictim
from unseg.evaluate.victims.maskformer import MaskFormerVictim
from unseg.evaluate.victims.masks import instances, panoptic, semantic
from unseg.evaluate.victims.objects import ObjectLoader, segments
from unseg.evaluate.victims.query import QueryVictim
from unseg.evaluate.victims.rtdetr import RtDetrVictim
from unseg.models.backbones import BACKBONES
from unseg.noise import Budget

TASKS = {"instance": InstanceTask, "panoptic": PanopticTask, "detection": DetectionTask}
PEOPLE = Problem("panoptic", ("person", "background"), frozenset({0}))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Penn-Fudan's layout: two ellipses a photograph are people, all else is background."""
    root = tmp_path_factory.mktemp("people")
    for part, numbers in (("train", range(5)), ("test", range(5, 7))):
        for n in numbers:
            layouts.save(layouts.photograph(n), root / "images" / f"{n:06d}.jpg")
        layouts.instances(root / "annotations" / f"instances_{part}.json", numbers, {1: "person"})
        file = root / "annotations" / f"panoptic_{part}.json"
        layouts.panoptic(file, numbers)
        body = json.loads(file.read_text())
        for entry in body["annotations"]:
            for segment in entry["segments_info"]:
                segment["category_id"] = 2 if segment["category_id"] == 187 else 1
        body["categories"] = [
            {"id": 1, "name": "person", "isthing": 1},
            {"id": 2, "name": "background", "isthing": 0},
        ]
        file.write_text(json.dumps(body))
    return root


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_reads_objects_and_protects_every_segment(kind: str, people: Path) -> None:
    task = TASKS[kind]()
    split = task.load(people)
    assert (len(split.train), len(split.test)) == (5, 2)
    for n, sample in enumerate((*split.train, *split.test)):
        both = layouts.ellipse(n, 0) | layouts.ellipse(n, 1)
        both[:2] &= kind != "panoptic"
        assert sample.instances is not None and sample.categories is not None
        assert ((sample.instances > 0) != both).mean() < 0.04
        assert sample.categories.tolist() == [0, 0]
        if kind == "panoptic":
            assert set(np.unique(sample.class_map)) == {0, 1, VOID}
            np.testing.assert_array_equal(sample.mask, sample.class_map != VOID)
        else:
            np.testing.assert_array_equal(sample.mask, sample.instances > 0)
    tuning = task.load(people, "val")
    assert (len(tuning.train), len(tuning.test)) == (4, 1)
    held_back = {one.name for one in split.test}
    assert not held_back & {one.name for one in (*tuning.train, *tuning.test)}
    assert tuning.sha256 != split.sha256


def test_a_panoptic_task_may_protect_things_alone(people: Path) -> None:
    task = PanopticTask(protects="things")
    for sample in task.load(people).train:
        assert sample.instances is not None
        np.testing.assert_array_equal(sample.mask, sample.instances > 0)
    assert task.settings() == {"protects": "things"}
    assert PanopticTask().settings() == {"protects": "segments"}


def test_what_a_task_protects_decides_which_kept_images_are_used(
    people: Path, tmp_path: Path
) -> None:
    condition = build_condition("constant", budget=Budget(8, 0))
    condition.costly = True
    for protects in ("things", "segments"):
        bench = Bench(PanopticTask(protects=protects), people, cache=tmp_path)
        published = bench.publish(condition, 0, {})
        for before, after in zip(bench.split.train, published, strict=True):
            changed = (before.image != after.image).any(axis=2)
            assert changed.any() and not changed[~before.mask].any()
            assert changed[before.mask].mean() > 0.9


@pytest.mark.parametrize("kind", TASKS)
def test_the_truth_scores_one(kind: str, people: Path) -> None:
    task = TASKS[kind]()
    samples = task.load(people).test
    scores = task.score((truth_of(sample, kind), sample) for sample in samples)
    assert scores[task.metric] == pytest.approx(1)
    assert all(value == pytest.approx(1) for value in scores.values())


def truth_of(sample: Sample, kind: str) -> Instances | Panoptic:
    assert sample.instances is not None and sample.categories is not None
    if kind == "panoptic":
        things = torch.from_numpy(sample.instances.astype(np.int64))
        ground = torch.from_numpy(sample.class_map == 1)
        categories = [*sample.categories.tolist(), 1]
        return Panoptic(torch.where(ground, len(categories), things), torch.tensor(categories))
    masks = np.stack([sample.instances == 1, sample.instances == 2])
    return Instances(
        torch.from_numpy(sample.object_boxes), torch.tensor([0.9, 0.8]),
        torch.from_numpy(sample.categories),
        torch.from_numpy(masks) if kind == "instance" else None,
    )  # fmt: skip


def test_average_precision_of_a_worked_example() -> None:
    """Two objects; the surest answer is one of them, the other answer is wrong."""
    index = np.zeros((20, 40), np.int32)
    index[5:15, 5:15], index[5:15, 25:35] = 1, 2
    sample = Sample(
        "a", np.zeros((20, 40, 3), np.uint8), index > 0,
        instances=index, categories=np.zeros(2, np.int64),
    )  # fmt: skip
    boxes = torch.tensor([[5.0, 5, 15, 15], [16, 0, 24, 4]])
    masks = torch.zeros(2, 20, 40, dtype=torch.bool)
    masks[0, 5:15, 5:15] = masks[1, 0:4, 16:24] = True
    found = Instances(boxes, torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64), masks)
    for kind in ("segm", "bbox"):
        scores = average_precision([(found, sample)], ("person",), kind)
        # Precision is 1 up to a recall of one half: 51 of the 101 recalls that are averaged.
        assert scores["ap50"] == pytest.approx(51 / 101)
        assert scores["ap"] == scores["ap75"] == scores["ap/person"] == scores["ap50"]
    with pytest.raises(TypeError, match="expected instances, not Tensor"):
        average_precision([(torch.zeros(20, 40), sample)], ("person",), "segm")


@pytest.mark.parametrize(
    ("segments_found", "expected"),
    [
        # The person found in part, nothing said of the rest: IoU 0.6, and it counts in full.
        ([(0, slice(0, 3)), (1, slice(5, 10))], {"pq/person": 0.6, "pq/background": 1.0}),
        # A person too many: recognition 1 / 1.5.
        ([(0, slice(0, 5)), (0, slice(5, 6)), (1, slice(6, 10))],
         {"pq/person": 2 / 3, "pq/background": 0.8}),
        # Nothing found is nothing right, not nothing to count.
        ([], {"pq/person": 0.0, "pq/background": 0.0}),
        # All is background: half of it is right, which is no match.
        ([(1, slice(0, 10))], {"pq/person": 0.0, "pq/background": 0.0}),
    ],
)  # fmt: skip
def test_panoptic_quality_of_worked_examples(
    segments_found: list[tuple[int, slice]], expected: dict[str, float]
) -> None:
    """Rows 0 to 4 of ten are a person, the others background."""
    labels = np.repeat(np.arange(10)[:, None] >= 5, 10, 1).astype(np.uint8)
    sample = Sample(
        "a", np.zeros((10, 10, 3), np.uint8), labels == 0, labels,
        (labels == 0).astype(np.int32), np.zeros(1, np.int64),
    )  # fmt: skip
    found = torch.zeros(10, 10, dtype=torch.int64)
    for number, (_, rows) in enumerate(segments_found, start=1):
        found[rows] = number
    categories = torch.tensor([category for category, _ in segments_found], dtype=torch.int64)
    scores = panoptic_quality([(Panoptic(found, categories), sample)], PEOPLE)
    assert {k: scores[k] for k in expected} == pytest.approx(expected)
    assert scores["pq"] == pytest.approx(sum(expected.values()) / 2)


def test_void_pixels_do_not_count() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[4:] = VOID
    sample = Sample(
        "a", np.zeros((10, 10, 3), np.uint8), labels == 0, labels,
        (labels == 0).astype(np.int32), np.zeros(1, np.int64),
    )  # fmt: skip
    everything = Panoptic(torch.ones(10, 10, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    scores = panoptic_quality([(everything, sample)], PEOPLE)
    assert scores == pytest.approx({"pq": 1, "sq": 1, "rq": 1, "pq/person": 1})


def test_damaged_layouts_are_named(people: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match=r"instances_train\.json is missing: expected COCO's"):
        InstanceTask().load(tmp_path)
    annotations = tmp_path / "annotations"
    layouts.instances(annotations / "instances_train.json", range(2), {1: "cat"})
    with pytest.raises(UnsegError, match=r"000000\.jpg is missing: expected COCO's layout"):
        DetectionTask().load(tmp_path)
    for n in range(2):
        layouts.save(layouts.photograph(n), tmp_path / "images" / f"{n:06d}.jpg")
    with pytest.raises(UnsegError, match=r"has the classes cat, things .* expects person"):
        InstanceTask().load(tmp_path, "val")
    (annotations / "panoptic_train.json").write_text("{")
    with pytest.raises(UnsegError, match=r"panoptic_train\.json is not a COCO panoptic file"):
        PanopticTask().load(tmp_path)


def loader(samples: tuple[Sample, ...], problem: Problem, **settings: float) -> ObjectLoader:
    chosen = Augmentation(**{"jitter": 0.0, **settings})
    return ObjectLoader(
        samples, problem, size=64, batch_size=8, augmentation=chosen, rng=np.random.default_rng(0)
    )


def test_objects_follow_their_photograph(people: Path) -> None:
    """Ellipses are brighter than the ground, wherever scale, place and flip put them."""
    task = InstanceTask()
    samples = task.load(people).train
    images, objects = loader(samples, task.problem, smallest=0.6, largest=1.6).draw()
    assert images.shape == (8, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    for image, one in zip(images, objects, strict=True):
        assert one.masks is not None and one.masks.shape[1:] == (64, 64)
        for mask, box in zip(one.masks.bool(), one.boxes, strict=True):
            assert image.mean(0)[mask].mean() > 0.3
            rows, columns = mask.nonzero().T
            assert box[0] * 64 == pytest.approx(float(columns.min() + columns.max() + 1) / 2)
            assert box[3] * 64 == float(rows.max() - rows.min() + 1)
        # Beside them are dark ground and, where the photograph ends, the mean colour.
        mean = torch.tensor(MEAN).view(3, 1, 1)
        beside = ~one.masks.amax(0).bool() & ((image - mean).abs().amax(0) > 0.01)
        assert (image.mean(0)[beside] > 0.35).float().mean() < 0.15


def test_boxes_move_as_masks_do(people: Path) -> None:
    train = InstanceTask().load(people).train
    by_mask, by_box = (
        loader(train, task.problem, smallest=0.8, largest=1.2).draw()[1]
        for task in (InstanceTask(), DetectionTask())
    )
    same = 0
    for one, other in zip(by_mask, by_box, strict=True):
        assert other.masks is None
        if len(one.boxes) == len(other.boxes):
            assert (one.boxes - other.boxes).abs().max() < 2 / 64
            same += 1
    assert same >= 6


def test_what_a_crop_hardly_shows_is_not_to_be_found(people: Path) -> None:
    task = InstanceTask()
    batches = loader(task.load(people).train, task.problem, smallest=2.5, largest=2.5)
    counts = [len(one.classes) for _ in range(4) for one in batches.draw()[1]]
    assert 0 < sum(counts) < 2 * len(counts)


def test_segments_of_every_kind(people: Path) -> None:
    sample = PanopticTask().load(people).train[0]
    index, classes = segments(sample, PEOPLE)
    assert classes.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(index == 3, sample.class_map == 1)
    index, classes = segments(sample, Problem("semantic", PEOPLE.classes))
    assert classes.tolist() == [0, 1]
    np.testing.assert_array_equal(index == 0, sample.class_map == VOID)
    # A semantic problem may say which classes are things; it wants them all the same.
    both = segments(sample, Problem("semantic", PEOPLE.classes, PEOPLE.things))
    np.testing.assert_array_equal(both[0], index)
    bare = Sample("bare", sample.image, sample.mask)
    with pytest.raises(UnsegError, match="bare has no instances, which instance problems need"):
        segments(bare, Problem("instance", ("person",)))


def queries() -> tuple[torch.Tensor, torch.Tensor]:
    """Three queries on four by six pixels: a person, ground around it, and nothing."""
    classes = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    masks = torch.full((3, 4, 6), -9.0)
    masks[0, 1:3, 2:5] = masks[1, :, :] = 9.0
    masks[1, 1:3, 2:5] = -9.0
    return classes, masks


def test_queries_read_as_instances() -> None:
    found = instances(*queries())
    best = int(found.scores.argmax())
    assert found.scores[best] == pytest.approx(0.9, abs=1e-3) and found.categories[best] == 0
    assert found.boxes[best].tolist() == [2, 1, 5, 3]
    assert found.masks is not None and found.masks[best].sum() == 6
    # The third query has no mask: two queries of two classes are left.
    assert len(found.scores) == 4


def test_queries_read_as_panoptic_segments() -> None:
    classes, masks = queries()
    found = panoptic(classes, masks, frozenset({0}))
    assert found.categories.tolist() == [0, 1]
    assert (found.segments == 1).sum() == 6 and (found.segments == 2).sum() == 18
    # A second, weaker person behind the first wins too little of its own mask.
    behind = masks[:1].clone()
    behind[0, 1:3, 1] = 9.0
    weaker = torch.tensor([[0.6, 0.2, 0.2]])
    again = panoptic(torch.cat([classes, weaker]), torch.cat([masks, behind]), frozenset({0}))
    assert again.categories.tolist() == [0, 1]
    # Stuff of two queries is one segment, things are two.
    halves = torch.full((2, 4, 6), -9.0)
    halves[0, :, :3] = halves[1, :, 3:] = 9.0
    sure = torch.tensor([[0.9, 0.0, 0.1]] * 2)
    assert len(panoptic(sure, halves, frozenset()).categories) == 1
    assert len(panoptic(sure, halves, frozenset({0})).categories) == 2
    nothing = panoptic(torch.tensor([[0.1, 0.1, 0.8]]), masks[:1], frozenset({0}))
    assert nothing.segments.sum() == 0 and len(nothing.categories) == 0


def test_queries_read_as_a_class_map() -> None:
    found = semantic(*queries())
    assert (found == 0).sum() == 6 and found[1, 2] == 0


MASKED = [
    (victim, kind)
    for victim in (Mask2FormerVictim, MaskFormerVictim)
    for kind in ("semantic", "instance", "panoptic")
]


@pytest.mark.parametrize(("victim", "kind"), [*MASKED, (RtDetrVictim, "detection")])
def test_a_victim_trains_and_answers(victim: type[QueryVictim], kind: str, people: Path) -> None:
    task = PanopticTask() if kind == "semantic" else TASKS[kind]()
    problem = Problem("semantic", PEOPLE.classes) if kind == "semantic" else task.problem
    assert kind in victim.kinds
    learner = victim(size=64, steps=2, batch_size=2, queries=5, width=32, pretrained=False)
    split = task.load(people)
    losses = learner.fit(split.train, problem, Training())
    assert len(losses) == 2 and np.isfinite(losses).all()
    wide = split.test[0].image[:40]
    found = learner.predict(wide)
    if kind == "semantic":
        assert isinstance(found, torch.Tensor)
        assert found.shape == (40, 64) and found.dtype == torch.int64
    elif kind == "panoptic":
        assert isinstance(found, Panoptic)
        assert found.segments.shape == (40, 64) and found.segments.dtype == torch.int64
        assert found.segments.max() == len(found.categories)
    else:
        assert isinstance(found, Instances)
        assert found.boxes.shape == (len(found.scores), 4) and found.boxes.dtype == torch.float32
        assert found.categories.dtype == torch.int64 and len(found.categories) == len(found.scores)
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert (found.boxes >= 0).all() and (found.boxes <= torch.tensor([64, 40, 64, 40])).all()
        if kind == "instance":
            assert found.masks is not None and found.masks.dtype == torch.bool
            assert found.masks.shape == (len(found.scores), 40, 64)


def test_a_detector_learns_where_the_objects_are(people: Path) -> None:
    """Boxes come back in the pixels of the photograph: misplaced ones would overlap nothing."""
    task = DetectionTask()
    split = task.load(people)
    plain = Augmentation(smallest=1.0, largest=1.0, jitter=0.0)
    learner = RtDetrVictim(
        size=64, steps=45, batch_size=4, queries=5, width=32, decoder=1, denoising=8,
        learning_rate=4e-3, slow=1.0, pretrained=False, backbone="mobilenetv2", augmentation=plain,
    )  # fmt: skip
    losses = learner.fit(split.train, task.problem, Training())
    assert losses[-1] < 0.7 * losses[0]
    scores = task.test(learner, split.test)
    assert scores["ap50"] > 0.2


def test_a_pretrained_backbone_keeps_its_weights_and_statistics() -> None:
    from unseg.models.registry import load_generator

    problem = Problem("instance", ("person",), frozenset({0}))
    network = Mask2FormerVictim(backbone="tinyvit", width=32).build(problem).train()
    [body] = [m for m in network.modules() if isinstance(m, Pyramid)]
    shipped = load_generator().base.encoder.state_dict()
    for name, tensor in body.body.model.state_dict().items():
        assert torch.equal(tensor, shipped[name])
    assert body.channels == [64, 128, 256, 256]


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_every_level(name: str) -> None:
    body = Pyramid(PyramidConfig(backbone=name, pretrained=False)).train()
    maps = body(torch.zeros(1, 3, 64, 64)).feature_maps
    assert [m.shape[1] for m in maps] == body.channels
    assert [64 // m.shape[2] for m in maps] == [4, 8, 16, 32]
    # From scratch the norms must learn; pretrained ones stay.
    norms = [m for m in body.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    body.config.pretrained = True
    assert not any(norm.training for norm in norms if body.train())


@pytest.mark.parametrize("saved", ["model", "backbone"])
def test_maskformer_starts_from_a_local_folder(saved: str, people: Path, tmp_path: Path) -> None:
    from transformers import ResNetBackbone, ResNetConfig

    task = InstanceTask()
    tiny = {"size": 64, "steps": 1, "batch_size": 2, "queries": 5, "width": 32}
    body = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    if saved == "backbone":
        origin: torch.nn.Module = ResNetBackbone(body)
    else:
        from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation
        from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

        small = MaskFormerDetrConfig(
            backbone_config=body, d_model=32, num_queries=5, decoder_layers=1, decoder_ffn_dim=32,
            decoder_attention_heads=4,
        )  # fmt: skip
        origin = MaskFormerForInstanceSegmentation(
            MaskFormerConfig(
                backbone_config=body, decoder_config=small, fpn_feature_size=32,
                mask_feature_size=32, use_auxiliary_loss=True, num_labels=3,
            )
        )  # fmt: skip
    origin.save_pretrained(tmp_path / "start")  # type: ignore[operator]
    learner = MaskFormerVictim(checkpoint=str(tmp_path / "start"), **tiny)
    network = learner.build(task.problem)
    body_name = "model.pixel_level_module.encoder"
    given = origin if saved == "backbone" else origin.get_submodule(body_name)
    expected = given.state_dict()
    for name, tensor in network.get_submodule(body_name).state_dict().items():
        assert torch.equal(tensor, expected[name])
    losses = learner.fit(task.load(people).train, task.problem, Training())
    assert np.isfinite(losses).all()


def test_the_backbone_learns_slower() -> None:
    learner = RtDetrVictim(pretrained=False, width=32, learning_rate=1e-3, slow=0.1)
    network = learner.build(Problem("detection", ("person",), frozenset({0})))
    new, body = learner.parameters(network)
    assert body["lr"] == pytest.approx(1e-4) and "lr" not in new
    assert len(new["params"]) + len(body["params"]) == len(list(network.parameters()))


def test_wrong_settings_are_refused(people: Path) -> None:
    with pytest.raises(UnsegError, match="size is 100: give a multiple of 32"):
        Mask2FormerVictim(size=100)
    with pytest.raises(UnsegError, match="'resnet' is not known: choose from efficientnet"):
        RtDetrVictim(backbone="resnet")
    task = InstanceTask()
    with pytest.raises(UnsegError, match="rtdetr does not do instance problems"):
        RtDetrVictim(pretrained=False).fit(task.load(people).train, task.problem, Training())

    class Mixing(Defence):
        name, summary = "mixing", "changes batches"

        def batch(self, images, targets, rng):  # type: ignore[no-untyped-def]
            return images, targets

    learner = MaskFormerVictim(
        size=64, steps=1, batch_size=1, queries=5, width=32, pretrained=False
    )
    with pytest.raises(UnsegError, match="the defence mixing changes label maps, and maskformer"):
        learner.fit(task.load(people).train, task.problem, Training(defence=Mixing()))
