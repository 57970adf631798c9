"""SamBase: a segment-anything model as a generator or surrogate uses it.

Both bases share prompt encoder and mask decoder; they differ in the image encoder.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from jaxtyping import Float, Num
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.models.prompts import dense_positions
from unseg.models.sam.decoder import MaskDecoder, PromptEncoder
from unseg.models.sam.tinyvit import TinyVit, TinyVitConfig
from unseg.models.sam.vit import VitConfig

EMBED_DIM = 256
ENCODERS: dict[str, type[TinyVitConfig] | type[VitConfig]] = {
    "mobile_sam": TinyVitConfig,
    "vit_b": VitConfig,
}


@dataclass(frozen=True)
class Features:
    """What an image encoder sees.

    Args:
        embedding: (B, 256, S/16, S/16), float, what the mask decoder attends to.
        early: (B, early_channels, S/e, S/e), float; e, the base's early_stride, is 8 for
            mobile_sam (its first stage's output) and 16 for vit_b (after the first block with
            global attention).
    """

    embedding: Float[Tensor, "b c g g"]
    early: Float[Tensor, "b _c e e"]


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build a base without its weights.

    Args:
        name: "mobile_sam" or "vit_b" (any SAM ViT; the default configuration is ViT-B).
        encoder: the encoder's shape, :class:`TinyVitConfig` or :class:`VitConfig`.
    """

    name: str
    encoder: TinyVitConfig | VitConfig

    def to_json(self) -> str:
        """One line of JSON, for a checkpoint's metadata."""
        return json.dumps({"name": self.name, "encoder": asdict(self.encoder)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Architecture:
        """Read :meth:`to_json`.

        Raises:
            UnsegError: when the text is not the description of a known base.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            config = ENCODERS[values["name"]]
            known = {field.name for field in fields(config)}
            encoder: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in values["encoder"].items()
                if key in known
            }
            return Architecture(values["name"], config(**encoder))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise UnsegError(
                f"the base model is described by {text[:80]!r}: expected JSON with a name in "
                f"{sorted(ENCODERS)} and the encoder's shape; import the weights again"
            ) from error


def architecture(name: str) -> Architecture:
    """The published shape of a base.

    Raises:
        UnsegError: when there is no base of that name.
    """
    if name not in ENCODERS:
        raise UnsegError(f"there is no base model {name!r}: choose one of {sorted(ENCODERS)}")
    return Architecture(name, ENCODERS[name]())


def _check_size(image_size: int) -> None:
    if image_size < 64 or image_size % 64:
        raise UnsegError(
            f"image size {image_size} does not suit a SAM encoder: choose a multiple of 64"
        )


class SamBase(nn.Module):
    """A segment-anything model for square inputs of one size.

    Args:
        design: which encoder, and its shape.
        image_size: side of the model's input in pixels, a multiple of 64; position encoding and
            prompt coordinates follow it.

    Raises:
        UnsegError: when ``image_size`` is not a positive multiple of 64.
    """

    embed_dim = EMBED_DIM

    def __init__(self, design: Architecture, image_size: int = 1024) -> None:
        super().__init__()
        _check_size(image_size)
        self.architecture = design
        self.name = design.name
        self.image_size = image_size
        self.encoder: nn.Module
        if isinstance(design.encoder, TinyVitConfig):
            self.encoder = TinyVit(design.encoder)
            self.early_channels, self.early_stride = design.encoder.dims[1], 8
        else:
            from unseg.models.sam.vit_encoder import VitEncoder

            self.encoder = VitEncoder(design.encoder, image_size)
            self.early_channels, self.early_stride = design.encoder.hidden_size, 16
        self.prompt_encoder = PromptEncoder(EMBED_DIM, image_size)
        # Drawn twice, as it always was: what is built after a base starts from the same numbers.
        nn.init.normal_(self.prompt_encoder.shared_embedding.positional_embedding)
        self.mask_decoder = MaskDecoder(EMBED_DIM)

    @property
    def grid(self) -> int:
        """Side of the embedding: a sixteenth of ``image_size``."""
        return self.image_size // 16

    def at_size(self, image_size: int) -> SamBase:
        """The same model for another input size; parameters are shared, nothing is copied.

        Raises:
            UnsegError: when the encoder's position tables have one size (vit_b), or
                ``image_size`` is not a positive multiple of 64.
        """
        if image_size == self.image_size:
            return self
        _check_size(image_size)
        if not isinstance(self.encoder, TinyVit):
            raise UnsegError(
                f"{self.name} was loaded for inputs of {self.image_size}: load it again with "
                f"image_size={image_size}"
            )
        other = copy.copy(self)
        other.image_size = image_size
        prompt_encoder = copy.copy(self.prompt_encoder)
        prompt_encoder.input_image_size = image_size
        prompt_encoder.image_embedding_size = (other.grid, other.grid)
        other._modules = {**self._modules, "prompt_encoder": prompt_encoder}
        return other

    def encode(self, pixel_values: Float[Tensor, "_b _c _h _w"]) -> Features:
        """Encode images.

        Args:
            pixel_values: (B, 3, S, S), float, from :func:`unseg.models.geometry.letterbox`;
                S = ``image_size``.

        Raises:
            ValueError: when the images have another size.
        """
        size = self.image_size
        if pixel_values.shape[1:] != (3, size, size):
            raise ValueError(
                f"pixel values are {tuple(pixel_values.shape)}: expected (B, 3, {size}, {size}); "
                "use geometry.letterbox"
            )
        embedding, early = self.encoder(pixel_values)
        return Features(embedding, early)

    def dense_pe(self, grid: int) -> Float[Tensor, "1 c {grid} {grid}"]:
        """Position encoding of the cells of a grid over the input: (1, 256, grid, grid)."""
        return dense_positions(self.prompt_encoder, grid)

    def predict_sure_masks(
        self,
        features: Features,
        points: Float[Tensor, "1 n k 2"],
        labels: Num[Tensor, "1 n k"],
        least: float,
    ) -> tuple[Float[Tensor, "m 3 g g"], Float[Tensor, "m 3"]]:
        """Three masks a prompt for one image, of the prompts that promise one.

        Args:
            features: of one image.
            points: see :meth:`predict_masks`.
            labels: the same.
            least: of the prompts whose best mask has a lower predicted IoU nothing is drawn.

        Returns:
            Logits and predicted IoU of m prompts, in their order.
        """
        embedding, decoder = features.embedding, self.mask_decoder
        sparse, dense = self.prompt_encoder(points, labels, None, None)
        places = self.dense_pe(embedding.shape[-1])
        queries, keys = decoder.attend(embedding + dense, places, sparse)
        iou = decoder.quality(queries)[0, :, 1:]
        sure = iou.amax(1) >= least
        if not bool(sure.any()):
            side = 4 * embedding.shape[-1]
            return iou.new_zeros(0, 3, side, side), iou[:0]
        logits = decoder.draw(queries, keys, embedding.shape[-2:], slice(1, None), sure)
        return logits[0], iou[sure]

    def predict_masks(
        self,
        features: Features,
        points: Float[Tensor, "b n k 2"] | None = None,
        labels: Num[Tensor, "b n k"] | None = None,
        boxes: Float[Tensor, "b n 4"] | None = None,
        masks: Float[Tensor, "b n g g"] | None = None,
        multimask: bool = False,
    ) -> tuple[Float[Tensor, "b n m g g"], Float[Tensor, "b n m"]]:
        """Predict masks for n prompts per image; all coordinates are model-input pixels.

        Args:
            features: of B images.
            points: (B, n, k, 2), float, x then y.
            labels: (B, n, k), long: 1 on the object, 0 off it, -1 no point, -10 padding.
            boxes: (B, n, 4), float, x1 y1 x2 y2.
            masks: (B, n, 4g, 4g), float logits or values, g = the embedding's side.
            multimask: three masks a prompt instead of one.

        Returns:
            Mask logits (B, n, m, 4g, 4g) and predicted IoU (B, n, m), m = 3 if ``multimask``
            else 1.

        Raises:
            ValueError: when no prompt is given, or points come without labels.
        """
        given = [prompt for prompt in (points, boxes, masks) if prompt is not None]
        if not given:
            raise ValueError("no prompt was given: expected points, boxes or masks")
        if points is not None and labels is None:
            raise ValueError("points were given without labels: give a label for every point")
        batch, prompts = given[0].shape[:2]
        embedding = features.embedding
        if masks is not None:
            # The decoder knows one mask prompt per image, so every prompt becomes an image.
            embedding = embedding.repeat_interleave(prompts, 0)
            points, labels, boxes, masks = (
                None if prompt is None else prompt.flatten(0, 1).unsqueeze(1)
                for prompt in (points, labels, boxes, masks)
            )
        sparse, dense = self.prompt_encoder(
            input_points=points, input_labels=labels, input_boxes=boxes, input_masks=masks
        )
        positions = self.dense_pe(embedding.shape[-1]).expand(embedding.shape[0], -1, -1, -1)
        logits, iou = self.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        side = logits.shape[-1]
        return logits.reshape(batch, prompts, -1, side, side), iou.reshape(batch, prompts, -1)
