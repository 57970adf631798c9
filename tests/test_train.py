"""Training: the losses, the prompts, the corpus, the cache and the bilevel loop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tiny_training import SIZE, TINY, make_corpus, random_base, trainer_for, weights_of
from unseg.errors import UnsegError
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.prompts import MASK_LOGIT, Prompts, mask_prompt
from unseg.models.sam.base import SamBase, architecture
from unseg.models.surrogate import Surrogate
from unseg.train.augment import DEGRADATIONS, Jitter, apply_jitter, photometric, turn_hue
from unseg.train.cache import FeatureCache
from unseg.train.config import TrainConfig, preset
from unseg.train.corpus import draw_mask, load, scan, split
from unseg.train.losses import mask_loss, uncertain_points
from unseg.train.monitor import collapsed, noise_statistics
from unseg.train.prompts import boxes_of, draw_prompts, perturb_boundary, points_of, random_subset
from unseg.train.settings import override


@pytest.fixture(scope="module")
def base() -> SamBase:
    return random_base()


@pytest.fixture()
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("epsilon=300", "noise.epsilon or noise.epsilon_background: .*0..255"),
        ("models.codebook=0,5", "models.codebook is 0,5: use periods"),
        ("batch_size=0", "optimisation.batch_size is 0: use 1 or more"),
        ("points=0", "prompts.points is 0"),
        ("generator_prompts=masks", "prompts.generator_prompts is masks: use one or more of box"),
        ("surrogate_prompts=no", "prompts.surrogate_prompts is no"),
        ("generator_init=none", "models.generator_init is none: use sam or random"),
        ("jitter_min=5", "data.jitter_min is 5"),
        ("cycle_epochs=1", "less than optimisation.cycle_epochs"),
        ("surrogates=unet", "models.surrogates is unet: use one or more of small, vit_b"),
        ("surrogate_turns=-1", "optimisation.surrogate_turns is -1"),
        ("visibility=101", "noise.visibility is 101: use 0 to 100"),
        ("textures=1,4", "models.textures is 1,4: use 1, 2, 4 or 8 periods of at least 2"),
    ],
)
def test_settings_that_cannot_train_are_refused(pair: str, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        override(TINY, [pair])


def test_settings_are_named_in_full_or_by_their_last_part() -> None:
    pairs = ["textures=3,4.5", "prompts.generator_prompts=mask,box", "flip=0",
             "data.jitter_after=false", "optimisation.batch_size=3"]  # fmt: skip
    config = override(preset("shipped"), pairs)
    assert config.models.textures == (3.0, 4.5) and config.optimisation.batch_size == 3
    assert config.prompts.generator_prompts == ("mask", "box")
    assert config.data.flip == 0.0 and config.data.jitter_after is False
    assert override(config, []) == config
    for pair, message in (
        ("textures=wide", "'wide' is not numbers with commas"),
        ("epochs=many", "'many' is not a whole number"),
        ("jitter_after=perhaps", "'perhaps' is not true or false"),
        ("epsilom=3", "expected name=value with one of models.base"),
        ("noise.batch_size=3", "expected name=value"),
        ("epsilon", "expected name=value"),
    ):
        with pytest.raises(UnsegError, match=message):
            override(config, [pair])


def test_settings_come_back_from_json() -> None:
    for name in ("shipped", "reference"):
        config = preset(name)
        assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    with pytest.raises(UnsegError, match=r"no setting noise\.epsilom"):
        TrainConfig.from_dict({"noise": {"epsilom": 1}})


def test_each_phase_changes_its_own_model_only(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    trainer = trainer_for(base, corpus, tmp_path / "run")
    network = trainer.surrogates.plain(0)
    frozen = {n: p.clone() for n, p in base.named_parameters()}
    head, surrogate = weights_of(trainer), [p.clone() for p in network.parameters()]
    assert trainer.step(0)[0] == "surrogate"
    assert all(torch.equal(v, head[n]) for n, v in weights_of(trainer).items())
    moved = [not torch.equal(a, b) for a, b in zip(surrogate, network.parameters(),
                                                   strict=True)]  # fmt: skip
    assert sum(moved) > len(moved) / 2
    surrogate = [p.clone() for p in network.parameters()]
    assert trainer.step(2)[0] == "generator"
    assert all(torch.equal(a, b) for a, b in zip(surrogate, network.parameters(),
                                                 strict=True))  # fmt: skip
    trainable = [n for n in head if not n.startswith("base.")]
    assert all(not torch.equal(weights_of(trainer)[n], head[n]) for n in trainable)
    assert all(torch.equal(p, frozen[n]) for n, p in base.named_parameters())


def test_bilevel_steps_lower_the_loss(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    config = override(
        TINY,
        ["robust=0", "flip=0", "jitter_max=1", "jitter_min=1", "points_sampled=0",
         "surrogate_prompts=none", "perturb_boundary=0", "generator_learning_rate=3e-3",
         "surrogate_learning_rate=3e-3", "photometric=false", "surrogate_turns=0"],
    )  # fmt: skip
    trainer = trainer_for(base, corpus, tmp_path / "run", config)
    losses = [trainer.step(step % 20)[1]["loss"] for step in range(48)]
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


def test_label_modification_asks_the_generator_for_ones(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    same = override(TINY, ["robust=0", "surrogate_prompts=none"])
    plain = trainer_for(base, corpus, tmp_path / "a", same)
    modified = trainer_for(
        base, corpus, tmp_path / "b", override(same, ["label_modification=true"])
    )
    assert plain.step(0)[1]["loss"] == pytest.approx(modified.step(0)[1]["loss"])
    assert plain.step(2)[1]["loss"] != pytest.approx(modified.step(2)[1]["loss"])


def test_the_reference_preset_is_the_papers() -> None:
    paper = preset("reference")
    models, optimisation = paper.models, paper.optimisation
    assert (models.base, models.generator_size, models.surrogate_size) == ("vit_b", 1024, 512)
    assert (optimisation.epochs, optimisation.learning_rate_drop_epoch) == (27, 20)
    assert (optimisation.batch_size, optimisation.seed) == (32, 42)
    assert optimisation.generator_learning_rate == optimisation.surrogate_learning_rate == 1e-4
    assert (paper.noise.epsilon, paper.noise.epsilon_background) == (1.0, 0.25)
    assert paper.noise.label_modification
    assert [paper.trains_surrogate(e) for e in range(5)] == [True, False, False, False, True]
    assert paper.models.surrogates == ("vit_b",) and not paper.models.textures
    assert paper.noise.visibility == 0 and not paper.data.photometric
    with pytest.raises(UnsegError, match="reference, shipped"):
        preset("huge")


def test_the_reference_setting_runs_in_small(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    config = override(
        preset("reference"),
        ["base=mobile_sam", "generator_size=64", "surrogates=small", "surrogate_size=64",
         "surrogate_width=32", "head_width=8", "batch_size=2", "epoch_steps=1",
         "points_sampled=64"],
    )  # fmt: skip
    trainer = trainer_for(base, corpus, tmp_path / "run", config)
    assert [trainer.step(step)[0] for step in range(4)] == ["surrogate"] + ["generator"] * 3


def test_sam_vit_surrogate_learns_from_scratch() -> None:
    torch.manual_seed(0)
    surrogate = Surrogate("vit_b", 64)
    logits = surrogate(torch.rand(1, 3, 64, 64) * 255, Prompts())
    assert logits.shape == (1, 1, 16, 16) and bool(logits.std() > 0)
    logits.square().mean().backward()
    norm = surrogate.encoder.patch_embed.projection.weight.grad.norm()
    assert norm > 0


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_degradations_pass_gradients(name: str) -> None:
    image = (torch.rand(2, 3, 33, 47) * 255).requires_grad_()
    out = DEGRADATIONS[name](image, torch.Generator().manual_seed(0))
    assert out.shape == image.shape
    out.sum().backward()
    assert image.grad is not None and bool(image.grad.abs().sum() > 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.floats(0.1, 2.0), st.booleans(),
       st.floats(0, 1), st.floats(0, 1))  # fmt: skip
def test_jitter_keeps_image_and_mask_together(
    height: int, width: int, scale: float, flip: bool, top: float, left: float
) -> None:
    mask = torch.zeros(1, height, width)
    mask[:, : height // 2, : width // 2] = 1
    image = (mask * 200).expand(3, -1, -1)
    view, target = apply_jitter(image, mask, Jitter(flip, scale, top, left), 48)
    assert view.shape == (3, 48, 48) and target.shape == (1, 48, 48)
    inside = (view[0] - 127.5).abs() > 1e-3
    assert torch.allclose(view[0][inside], 200 * target[0][inside], atol=0.1)


def test_uncertain_points_are_where_the_prediction_is_unsure() -> None:
    logits = torch.linspace(-9, 9, 32).expand(1, 1, 32, 32)
    points = uncertain_points(
        logits, 100, oversample=3, importance=0.75, rng=torch.Generator().manual_seed(0)
    )
    near = ((points[0, :, 0] - 0.5).abs() < 0.1).float().mean()
    assert near > 0.45, "a uniform draw would have 0.2"
    assert points.shape == (1, 100, 2) and bool((points >= 0).all()) and bool((points <= 1).all())


def test_loss_is_small_for_a_right_and_large_for_a_wrong_mask() -> None:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    for points in (0, 200):
        rng = torch.Generator().manual_seed(0)
        right = mask_loss((2 * target - 1) * 12, target, points=points, rng=rng)
        wrong = mask_loss((1 - 2 * target) * 12, target, points=points, rng=rng)
        assert right < 0.6 and wrong > 3 * right


def test_prompts_lie_on_the_object() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:30, 20:50] = 1
    rng = torch.Generator().manual_seed(0)
    points, labels = points_of(mask, 10, 512, rng)
    assert bool((labels == 1).all())
    assert bool(((points[..., 0] >= 160) & (points[..., 0] < 400)).all())
    assert bool(((points[..., 1] >= 80) & (points[..., 1] < 240)).all())
    assert boxes_of(mask, 512, 0.0, rng).tolist() == [[[160.0, 80.0, 400.0, 240.0]]]
    prompt = mask_prompt(mask, 64)
    assert prompt.unique().tolist() == [-MASK_LOGIT, MASK_LOGIT]
    changed = perturb_boundary(prompt, 0.5, rng) != prompt
    assert bool(changed.any()) and not bool(changed[..., 40:, :].any())
    assert not bool((perturb_boundary(prompt, 0.0, rng) != prompt).any())


def test_prompt_subsets_are_never_empty_and_reach_all() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = {tuple(random_subset(("box", "point", "mask"), rng)) for _ in range(200)}
    assert len(drawn) == 7 and () not in drawn
    empty = draw_prompts(
        torch.zeros(2, 1, 8, 8), ["box", "point", "mask"], size=64, grid=8, points=3,
        perturb=0.5, rng=rng,
    )  # fmt: skip
    assert empty.boxes is not None and torch.allclose(
        empty.boxes, torch.tensor([0.0, 0.0, 64.0, 64.0]), atol=0.05 * 64
    )


def test_split_is_by_file_and_stable(corpus: Path) -> None:
    entries = scan([corpus])
    train, held = split(entries, 0.3, 1)
    assert len(train) == 7 and len(held) == 3 and not set(train) & set(held)
    assert split(entries, 0.3, 1) == (train, held) and split(entries, 0.3, 2) != (train, held)


def test_corpus_errors_name_the_file_and_the_fix(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match="im/ folder"):
        scan([tmp_path])
    (corpus / "gt" / "3.png").unlink()
    with pytest.raises(UnsegError, match=r"3\.png"):
        scan([corpus])
    Image.new("L", (7, 9)).save(corpus / "gt" / "3.png")
    with pytest.raises(UnsegError, match=r"3\.png is 7x9 but .* is 80x60"):
        load(scan([corpus])[3], 64)
    (corpus / "im" / "4.png").write_bytes(b"no image")
    with pytest.raises(UnsegError, match=r"4\.png"):
        load(scan([corpus])[4], 64)


def test_a_sample_is_a_union_of_regions(corpus: Path) -> None:
    picture = load(scan([corpus])[0], 80)
    rng = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        mask = draw_mask(picture, rng)[0] > 0
        ids = set(picture.regions[mask].tolist())
        assert ids and 0 not in ids
        assert bool((mask == torch.isin(picture.regions, torch.tensor(sorted(ids)))).all())
        seen.add(tuple(sorted(ids)))
    assert seen == {(1,), (2,), (1, 2)}


def test_soft_masks_are_one_region(corpus: Path) -> None:
    soft = np.zeros((60, 80), np.uint8)
    soft[10:50, 15:45] = 255
    blurred = Image.fromarray(soft).filter(ImageFilter.GaussianBlur(1))
    blurred.save(corpus / "gt" / "3.png")
    assert load(scan([corpus])[3], 80).ids == (255,)


def test_an_image_is_read_upright(corpus: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3  # turned by half
    picture = Image.open(corpus / "im" / "3.png")
    upright = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    picture.rotate(180).save(corpus / "im" / "3.png", exif=exif)
    assert torch.equal(load(scan([corpus])[3], 80).image, upright)


def test_cache_answers_without_the_model(base: SamBase, tmp_path: Path) -> None:
    image = torch.randint(0, 255, (3, 40, 60), dtype=torch.uint8)
    cache = FeatureCache(tmp_path, base)
    first = cache.features(image)
    calls: list[int] = []
    cache._compute = lambda image: calls.append(1)  # type: ignore[assignment, func-returns-value]
    again = cache.features(image)
    assert torch.equal(first.embedding, again.embedding) and not calls
    for damaged in tmp_path.rglob("*.safetensors"):
        damaged.write_bytes(b"gone")
    cache = FeatureCache(tmp_path, base)
    assert torch.equal(cache.features(image).embedding, first.embedding)
    torch.manual_seed(1)
    other = FeatureCache(tmp_path, SamBase(architecture("mobile_sam"), SIZE).eval())
    assert not torch.equal(other.features(image).embedding, first.embedding)


def test_surrogates_take_turns_and_start_anew(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    pairs = ["surrogates=small,tinyvit", "surrogate_turns=2", "epochs=20", "epoch_steps=1"]
    trainer = trainer_for(base, corpus, tmp_path / "run", override(TINY, pairs))
    places = [trainer.surrogates.place(step, 1) for step in range(6)]
    assert places == [0, 0, 1, 1, 0, 0]

    def weights(number: int) -> torch.Tensor:
        model = trainer.surrogates.plain(number)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = weights(0)
    trainer.step(0)
    trained = weights(0)
    assert not torch.equal(first, trained)
    trainer.surrogates.renew(4, 1)  # its second turn
    assert torch.equal(weights(0), trained)
    trainer.surrogates.renew(8, 1)  # its third
    assert not torch.equal(weights(0), trained) and not torch.equal(weights(0), first)
    assert not trainer.surrogates.optimisers[0].state


def test_a_loss_for_what_is_seen_makes_noise_fainter(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    pairs = ["surrogate_size=128", "robust=0", "generator_learning_rate=3e-3", "epochs=40",
             "epoch_steps=1", "visibility_weight=100"]  # fmt: skip
    louder = trainer_for(base, corpus, tmp_path / "a", override(TINY, pairs))
    quiet = override(TINY, [*pairs, "visibility=100"])
    fainter = trainer_for(base, corpus, tmp_path / "b", quiet)
    energies = []
    for trainer in (louder, fainter):
        found = [trainer.step(step)[1] for step in range(1, 16, 2)]
        energies.append(found[-1]["noise_abs"])
    assert energies[1] < 0.9 * energies[0]


def test_photometric_distortion_is_what_opencv_makes_of_it() -> None:
    import colorsys

    colour = torch.tensor([200.0, 120.0, 60.0]).view(1, 3, 1, 1)
    assert torch.allclose(turn_hue(colour, 0.0), colour, atol=1e-3)
    for degrees in (-18.0, 18.0):
        turned = turn_hue(colour, degrees).flatten().tolist()
        before, after = (
            colorsys.rgb_to_hsv(*(value / 255 for value in values))[0]
            for values in (colour.flatten().tolist(), turned)
        )
        assert abs((after - before) * 360 - degrees) < 6
    grey = torch.full((1, 3, 4, 4), 90.0)
    assert torch.allclose(turn_hue(grey, 18.0), grey, atol=1e-3)
    image = torch.rand(2, 3, 8, 8) * 255
    seen = [photometric(image, torch.Generator().manual_seed(i)) for i in range(40)]
    assert all(float(one.min()) >= 0 and float(one.max()) <= 255 for one in seen)
    assert any(torch.equal(one, image) for one in seen)  # all four left out: one in sixteen
    assert len({float(one.mean()) for one in seen}) > 20


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150))
def test_noise_has_the_images_size_and_range(base: SamBase, height: int, width: int) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, mask_feature=True, textures=(4.0,)))
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, : height // 2] = True
    noise = generator.noise(torch.rand(3, height, width) * 255, masks)
    assert noise.shape == (2, 3, height, width)
    assert bool(noise.isfinite().all()) and float(noise.abs().max()) <= 1


def test_batched_noise_equals_single_noise(base: SamBase) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, mask_feature=True)).eval()
    images = [torch.rand(3, 40, 70) * 255, torch.rand(3, 90, 30) * 255]
    masks = [torch.rand(1, 40, 70) > 0.5, torch.rand(3, 90, 30) > 0.5]
    together = generator.noise_batch(images, masks)
    for image, mask, noise in zip(images, masks, together, strict=True):
        assert torch.allclose(generator.noise(image, mask), noise, atol=1e-4)
    with pytest.raises(ValueError, match="masks are"):
        generator.noise(images[0], masks[1])


def test_collapse_is_seen() -> None:
    constant = torch.full((2, 3, 16, 16), 0.7)
    assert collapsed(noise_statistics(constant))
    checker = constant.clone()
    checker[..., ::2] *= -1
    found = noise_statistics(checker)
    assert not collapsed(found) and found["noise_hf"] > 0.7 and found["noise_abs"] > 0.6
