"""The universal noise generator: frozen SAM plus trainable noise tokens (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unseg.key import Key
from unseg.models.geometry import Frame, letterbox, letterbox_mask, unletterbox
from unseg.models.moved import sent
from unseg.models.prompts import MASK_LOGIT, Prompts, mask_prompt
from unseg.models.sam.base import Features, SamBase
from unseg.models.sam.decoder import ChannelNorm, FeedForward
from unseg.models.textures import BY_LOOK, Codebook, TextureBank
from unseg.models.waves import Window

#: Input pixels per noise cell: the decoder's upscaled feature has four times the embedding's grid.
NOISE_STRIDE = 4
#: Of a generator that nobody gave a key: its noise can be computed by anyone.
PUBLIC_KEY = Key.of_text("unseg")
#: Share of an image from which a mask has no shape that noise could tell.
WHOLE = 0.9


@dataclass(frozen=True)
class HeadConfig:
    """Shape of the trainable part.

    Args:
        width: channels of the hidden layers of the feature convolutions.
        mask_feature: add a convolution of the mask prompt, at the noise grid's resolution.
        textures: periods, in 512ths of the long side, of a bank of textures from which the feature
            chooses (:class:`~unseg.models.textures.TextureBank`); empty is the paper's own head,
            whose noise is the grid itself.
        logit_scale: factor on the noise logits before tanh at the start of training; of textures,
            on their colours'.
        codebook: periods, in 512ths of the long side, of the textures that codes ask for
            (:class:`~unseg.models.textures.Codebook`); empty moves the learned choice on instead.
        background: whether there is noise outside a prompt, too. Without it a region that carries
            no noise is what a victim learned to be background, and so is a whole clean image.
    """

    width: int = 64
    mask_feature: bool = False
    textures: tuple[float, ...] = ()
    logit_scale: float = 0.5
    codebook: tuple[float, ...] = ()
    background: bool = True

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HeadConfig:
        """Rebuild from JSON, where tuples are lists."""
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**arguments)


def _upscale(channels: int, width: int, out: int, factor: int) -> nn.Sequential:
    """Bring a feature map to the noise grid: transposed convolutions for every doubling.

    A transposed convolution may write a different value into each cell of its stride, so even
    a constant feature can become a periodic texture, which a plain resize could not make.
    """
    layers: list[nn.Module] = []
    while factor > 2:
        layers += [
            nn.ConvTranspose2d(channels, width * 2, 2, 2),
            ChannelNorm(width * 2),
            nn.GELU(),
        ]
        channels, factor = width * 2, factor // 2
    if factor == 2:
        layers.append(nn.ConvTranspose2d(channels, out, 2, 2))
    else:
        layers.append(nn.Conv2d(channels, out, 3, padding=1))
    return nn.Sequential(*layers)


def _refine(channels: int, width: int, out: int) -> nn.Sequential:
    """Two 3x3 convolutions at the noise grid's resolution."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        ChannelNorm(width),
        nn.GELU(),
        nn.Conv2d(width, out, 3, padding=1),
    )


def decode_tokens(
    base: SamBase,
    embedding: Float[Tensor, "b c g g"],
    prompts: Prompts,
    extra: Float[Tensor, "n c"],
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b c//8 4*g 4*g"]]:
    """Run SAM's mask decoder with extra output tokens.

    Args:
        base: the SAM whose prompt encoder and mask decoder are used.
        embedding: (B, C, g, g).
        prompts: a batch of B.
        extra: (n, C) tokens appended to SAM's own output tokens.

    Returns:
        (B, n, C), what became of the extra tokens, and (B, C/8, 4g, 4g), SAM's upscaled mask
        feature.
    """
    height, width = map(int, embedding.shape[-2:])  # numbers, when traced, too
    sparse, dense = base.prompt_encoder(
        prompts.points, prompts.labels, prompts.boxes, prompts.masks
    )
    decoder = base.mask_decoder
    queries, keys = decoder.attend(embedding + dense, base.dense_pe(height), sparse, extra)
    feature = keys[:, 0].transpose(1, 2).unflatten(2, (height, width))
    first = 1 + decoder.num_mask_tokens
    return queries[:, 0, first : first + len(extra)], decoder.upscale(feature)


@runtime_checkable
class Field(Protocol):
    """Noise of a batch, drawn for any part of its images."""

    def paint(self, index: int, window: Window) -> Tensor:
        """(3, h, w) in [-1, 1], a part of one image's noise; see :meth:`Drawing.paint`."""
        ...


@dataclass(frozen=True)
class GridNoise:
    """Noise on the decoder's grid, as the paper's head makes it: enlarged to the image.

    Args:
        noise: (B, 3, G, G) in [-1, 1], on the model's square frame.
        size: side of that frame, pixels.
    """

    noise: Float[Tensor, "b 3 g g"]
    size: int

    def paint(self, index: int, window: Window) -> Float[Tensor, "3 h w"]:
        """A part of one image's noise."""
        frame = Frame(window.height, window.width, self.size)
        whole = unletterbox(self.noise[index : index + 1].float(), frame)[0]
        return whole[:, window.rows, window.columns]


class NoiseGenerator(nn.Module):
    """Noise for any image and any mask.

    Args:
        base: a SAM; it is frozen here.
        config: shape of the trainable part.
        model_id: name written into manifests.

    Attributes:
        key: the owner's; it turns the textures. The one here from the start is public.
        half: whether the encoder computes in bfloat16, which GPUs do several times as fast; a few
            cells choose another texture then (docs/performance.md).

    Inputs of :meth:`forward` live on the model's square frame; :meth:`noise` is the same for whole
    images.
    """

    def __init__(
        self, base: SamBase, config: HeadConfig | None = None, model_id: str = "untrained"
    ) -> None:
        super().__init__()
        self.base = base.eval().requires_grad_(False)
        self.config = config or HeadConfig()
        self.model_id, self.sha256, self.key = model_id, "", PUBLIC_KEY
        self.encodes_in_half = False
        width, hidden = self.config.width, base.embed_dim
        channels = hidden // 8
        self.noise_tokens = nn.Embedding(3, hidden)
        self.mlps = nn.ModuleList(FeedForward(hidden, hidden, channels, 3) for _ in range(3))
        self.from_mask_feature = _refine(channels, width, channels)
        self.from_embedding = _upscale(hidden, width, channels, 4)
        self.from_early = _upscale(
            base.early_channels, width, channels, base.early_stride // NOISE_STRIDE
        )
        self.from_mask = _refine(1, width, channels) if self.config.mask_feature else None
        self.textures: TextureBank | None = None
        if self.config.textures:
            self.textures = TextureBank(channels, self.config.textures)
        self.codebook: Codebook | None = None
        if self.config.codebook:
            self.codebook = Codebook(hidden, self.config.codebook)
        self.log_scale = nn.Parameter(torch.tensor(float(self.config.logit_scale)).log())

    @property
    def image_size(self) -> int:
        """Side of the square model input, pixels."""
        return self.base.image_size

    @property
    def grid(self) -> int:
        """Side of the noise grid: four times the embedding's."""
        return self.image_size // NOISE_STRIDE

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that training changes."""
        return [p for p in self.parameters() if p.requires_grad]

    def train(self, mode: bool = True) -> NoiseGenerator:
        """Switch the head only: the frozen base stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(
        self,
        embedding: Float[Tensor, "b c g g"],
        early: Float[Tensor, "b _c e e"],
        prompts: Prompts,
        codes: Int[Tensor, " b"] | None = None,
    ) -> Field:
        """Noise of a batch.

        Args:
            embedding: (B, 256, g, g) image embedding of the frozen encoder.
            early: (B, C, e, e) early feature of the frozen encoder.
            prompts: a batch of B.
            codes: (B,) int64, which texture stands for the prompted object; 0 is the learned one,
                :data:`~unseg.models.textures.BY_LOOK` what the image's parts look like. All are 0
                or none is. Heads without textures have one noise for all codes.
        """
        if self.codebook is not None and codes is not None and bool((codes != 0).all()):
            # What a code looks like does not depend on the prompt: only where it goes does.
            return self.codebook(embedding, codes, self.grid, self.key)
        feature, weights = self.read(embedding, early, prompts)
        if self.textures is not None:
            moved = None if self.codebook is not None else codes
            return self.textures(feature, embedding, weights, moved, self.key)
        return GridNoise(
            torch.tanh(torch.einsum("bkc,bchw->bkhw", weights, feature)), self.image_size
        )

    def read(
        self,
        embedding: Float[Tensor, "b c g g"],
        early: Float[Tensor, "b _c e e"],
        prompts: Prompts,
    ) -> tuple[Float[Tensor, "b k n n"], Float[Tensor, "b 3 k"]]:
        """What the prompts say of the images, before any noise is made of it.

        Returns:
            The noise feature on the noise grid, and the tokens' weights of its channels.
        """
        tokens, upscaled = decode_tokens(self.base, embedding, prompts, self.noise_tokens.weight)
        feature = self.from_mask_feature(upscaled) + self.from_embedding(embedding)
        feature = feature + self.from_early(early)
        if self.from_mask is not None:
            mask = prompts.masks if prompts.masks is not None else embedding.new_zeros(
                len(embedding), 1, self.grid, self.grid
            )  # fmt: skip
            feature = feature + self.from_mask(mask / MASK_LOGIT)
        # Zero mean over space: without it training collapses to one constant colour at once.
        feature = F.instance_norm(feature)
        weights = torch.stack([mlp(tokens[:, i]) for i, mlp in enumerate(self.mlps)], dim=1)
        return feature, weights * self.log_scale.exp()

    @torch.no_grad()
    def noise(
        self,
        image: Float[Tensor, "3 _h _w"],
        masks: Bool[Tensor, "n _h _w"],
        codes: Sequence[int] | None = None,
    ) -> Float[Tensor, "n 3 _h _w"]:
        """Noise for one image, one map for every mask.

        Args:
            image: (3, H, W), float, in [0, 255], any size and aspect.
            masks: (n, H, W), bool; each is one mask prompt.
            codes: n numbers from 0, see :meth:`forward`; by default all 0.

        Returns:
            (n, 3, H, W) float in [-1, 1], on the image's device.

        Raises:
            ValueError: when a mask has another size than the image.
        """
        if image.shape[-2:] != masks.shape[-2:]:
            raise ValueError(
                f"masks are {tuple(masks.shape[-2:])} but the image is {tuple(image.shape[-2:])}"
            )
        return self.noise_batch([image], [masks], None if codes is None else [codes])[0]

    @torch.no_grad()
    def noise_batch(
        self,
        images: Sequence[Float[Tensor, "3 _h _w"]],
        masks: Sequence[Bool[Tensor, "_n _h _w"]],
        codes: Sequence[Sequence[int]] | None = None,
    ) -> list[Float[Tensor, "_n 3 _h _w"]]:
        """:meth:`noise` for several images of different sizes in one pass.

        Args:
            images: (3, H, W) each, float, in [0, 255].
            masks: (n, H, W) each, bool, of the image's size; n may differ.
            codes: n numbers each.

        Returns:
            (n, 3, H, W) each, float in [-1, 1], on the image's device.
        """
        device = self.noise_tokens.weight.device
        framed = [letterbox(sent(image, device)[None], self.image_size)[0] for image in images]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.encodes_in_half):
            features = self.base.encode(torch.cat(framed))
        features = Features(features.embedding.float(), features.early.float())
        results = []
        for i, (image, some) in enumerate(zip(images, masks, strict=True)):
            grid_masks = letterbox_mask(
                sent(some, device)[:, None].float(), self.image_size, self.grid
            )
            # One prompt at a time: an instance map may hold a thousand of them.
            noise = [
                self._painted(
                    self(
                        features.embedding[i : i + 1],
                        features.early[i : i + 1],
                        Prompts(masks=mask_prompt(one[None], self.grid)),
                        self._code(some[k], 0 if codes is None else codes[i][k]),
                    ),
                    some[k],
                )
                for k, one in enumerate(grid_masks)
            ]
            results.append(torch.stack(noise).to(image.device))
        return results

    @torch.no_grad()
    def embed(
        self, image: Float[Tensor, "3 h w"], labels: Bool[Tensor, "n h w"]
    ) -> tuple[Float[Tensor, "g g c"], Float[Tensor, "n g g"]]:
        """What the frozen encoder says of an image's parts, and the labels' shares of them.

        Shapes and ranges are those of :class:`unseg.protect.silence.Embedder`.
        """
        device = self.noise_tokens.weight.device
        pixels, _ = letterbox(image[None].to(device), self.image_size)
        embedding = self.base.encode(pixels).embedding[0]
        side = embedding.shape[-1]
        shares = letterbox_mask(labels[:, None].float().to(device), self.image_size, side)
        return embedding.permute(1, 2, 0), shares[:, 0]

    def _painted(self, field: Field, mask: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
        """Noise of one prompt; without a background only where the prompt is."""
        height, width = mask.shape
        if self.config.background:
            return field.paint(0, Window.whole(height, width))
        noise = self.noise_tokens.weight.new_zeros(3, height, width, dtype=torch.float32)
        down, across = (mask.any(dim=dim).nonzero()[:, 0].tolist() for dim in (1, 0))
        if not down:
            return noise
        rows, columns = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
        part = field.paint(0, Window(height, width, rows, columns))
        noise[:, rows, columns] = part * mask[rows, columns].to(part)
        return noise

    def _code(self, mask: Tensor, code: int) -> Tensor:
        """(1,) the code of one prompt: a mask of nearly the whole image tells no shape."""
        if code == 0 and self.codebook is not None and float(mask.float().mean()) >= WHOLE:
            code = BY_LOOK
        return torch.tensor([code], device=self.noise_tokens.weight.device)

    def settings(self) -> dict[str, object]:
        """What :mod:`unseg.models.registry` needs to rebuild the generator."""
        return {"image_size": self.image_size, "head": asdict(self.config)}
