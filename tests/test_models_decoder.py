"""Our prompt encoder and mask decoder give what transformers' give, whose names they share."""

from __future__ import annotations

import pytest
import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.propose import propose_foreground
from unseg.models.registry import load_generator, load_shipped_base
from unseg.models.sam.base import Features, SamBase
from unseg.models.sam.decoder import MaskDecoder, PromptEncoder
from unseg.models.weights.io import module_sha256, unfilled

SIZE, GRID = 64, 4


@pytest.fixture(scope="module")
def theirs() -> tuple[SamPromptEncoder, SamMaskDecoder]:
    torch.manual_seed(0)
    prompts = SamPromptEncoderConfig(hidden_size=256, image_size=SIZE)
    vision = SamVisionConfig(hidden_size=256, num_pos_feats=128)
    encoder = SamPromptEncoder(
        SamConfig(vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict())
    )
    config = SamMaskDecoderConfig(hidden_size=256, layer_norm_eps=1e-5)
    config._attn_implementation = "sdpa"
    return encoder.eval(), SamMaskDecoder(config).eval()


@pytest.fixture(scope="module")
def ours(theirs: tuple[SamPromptEncoder, SamMaskDecoder]) -> tuple[PromptEncoder, MaskDecoder]:
    encoder, decoder = PromptEncoder(256, SIZE).eval(), MaskDecoder(256).eval()
    encoder.load_state_dict(theirs[0].state_dict())
    decoder.load_state_dict(theirs[1].state_dict())
    return encoder, decoder


PROMPTS = {
    "points": (True, False, False),
    "boxes": (False, True, False),
    "points and boxes": (True, True, False),
    "masks": (False, False, True),
}


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("multimask", [True, False])
@torch.no_grad()
def test_masks_and_their_quality_are_those_of_transformers(
    ours: tuple[PromptEncoder, MaskDecoder],
    theirs: tuple[SamPromptEncoder, SamMaskDecoder],
    kind: str,
    multimask: bool,
) -> None:
    rng = torch.Generator().manual_seed(1)
    points, boxes, masks = PROMPTS[kind]
    count = 1 if masks else 3
    given = (
        torch.rand(2, count, 4, 2, generator=rng) * SIZE if points else None,
        torch.tensor([1, 0, -1, -10]).expand(2, count, -1) if points else None,
        torch.rand(2, count, 4, generator=rng) * SIZE if boxes else None,
        torch.randn(2, 1, 4 * GRID, 4 * GRID, generator=rng) if masks else None,
    )
    embedding = torch.randn(2, 256, GRID, GRID, generator=rng)
    places = torch.randn(1, 256, GRID, GRID, generator=rng)
    made = []
    for encoder, decoder in (ours, theirs):
        sparse, dense = encoder(*given)
        made.append((sparse, dense, *decoder(
            image_embeddings=embedding,
            image_positional_embeddings=places.expand(2, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )))  # fmt: skip
    for mine, other in zip(*made, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            assert mine.shape == other.shape
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert made[0][2].abs().max() > 1e-3  # else anything would be alike


def test_points_need_labels(ours: tuple[PromptEncoder, MaskDecoder]) -> None:
    with pytest.raises(ValueError, match="give a label for every point"):
        ours[0](torch.zeros(1, 1, 1, 2), None, None, None)


@torch.no_grad()
def test_sure_masks_are_those_of_all_that_promise_one() -> None:
    base = load_shipped_base(256)
    rng = torch.Generator().manual_seed(2)
    embedding = torch.randn(1, 256, 16, 16, generator=rng)
    features = Features(embedding, torch.zeros(1, base.early_channels, 32, 32))
    points = torch.rand(1, 12, 1, 2, generator=rng) * 256
    labels = torch.ones(1, 12, 1)
    logits, iou = base.predict_masks(features, points, labels, multimask=True)
    least = float(iou[0].amax(1).median())
    some, quality = base.predict_sure_masks(features, points, labels, least)
    sure = iou[0].amax(1) >= least
    assert 0 < int(sure.sum()) < 12 and len(some) == int(sure.sum())
    torch.testing.assert_close(some, logits[0, sure], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(quality, iou[0, sure], rtol=1e-4, atol=1e-5)
    none, empty = base.predict_sure_masks(features, points, labels, 2.0)
    assert none.shape == (0, 3, 64, 64) and empty.shape == (0, 3)
    assert propose_foreground(base, torch.full((3, 80, 90), 99.0)).mask.shape == (80, 90)


def test_what_is_loaded_is_never_left_unfilled() -> None:
    """Weights that were not drawn have to come from the file, all of them."""
    weight = torch.zeros(3, 3)
    with unfilled():
        assert torch.equal(torch.nn.init.normal_(weight), torch.zeros(3, 3))
        assert torch.equal(torch.nn.init.kaiming_uniform_(weight), torch.zeros(3, 3))
    assert not torch.equal(torch.nn.init.normal_(weight), torch.zeros(3, 3))
    first, second = load_generator(), load_generator()
    assert module_sha256(first) == module_sha256(second)
    assert module_sha256(first.base) == module_sha256(load_shipped_base())
    assert isinstance(first.base, SamBase)


@pytest.mark.parametrize("textures", [(12.0, 18.0), ()])
def test_only_what_is_asked_for_is_painted_and_nothing_else_changes(
    textures: tuple[float, ...],
) -> None:
    torch.manual_seed(3)
    head = HeadConfig(textures=textures, codebook=(8.0, 12.0) if textures else (), background=False)
    generator = NoiseGenerator(load_shipped_base(128), head).eval()
    image = torch.rand(3, 90, 120) * 255
    masks = torch.zeros(3, 90, 120, dtype=torch.bool)
    masks[0, 20:71, 33:90] = True
    masks[0, 40:50, 50:60] = False
    masks[1, 89, 119] = True
    made = generator.noise(image, masks)
    object.__setattr__(generator.config, "background", True)
    whole = generator.noise(image, masks)
    assert torch.equal(made, whole * masks[:, None])
    assert made[0].abs().amax() > 0 and not made[2].any()
