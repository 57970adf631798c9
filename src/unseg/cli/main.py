"""The ``unseg`` command: one file for each command, registered here."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from unseg.cli.benchmark import benchmark
from unseg.cli.card import card
from unseg.cli.dataset import dataset
from unseg.cli.demo import demo
from unseg.cli.doctor import doctor
from unseg.cli.evaluate import evaluate
from unseg.cli.export import export
from unseg.cli.masks import masks
from unseg.cli.posted import posted
from unseg.cli.protect import protect
from unseg.cli.report import report
from unseg.cli.show import show
from unseg.cli.shown import say
from unseg.cli.train import train
from unseg.cli.train_salience import train_salience
from unseg.cli.ui import ui
from unseg.cli.verify import verify
from unseg.cli.weights import weights
from unseg.errors import UnsegError

app = typer.Typer(
    name="unseg",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unseg {version('unseg')}")
        raise typer.Exit


@app.callback()
def root(
    shown: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Make images useless as training data for segmentation."""


app.command("benchmark")(benchmark)
app.command("card")(card)
app.command("dataset")(dataset)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("evaluate")(evaluate)
app.command("export")(export)
app.command("masks")(masks)
app.command("posted")(posted)
app.command("protect")(protect)
app.command("report")(report)
app.command("show")(show)
app.command("train")(train)
app.command("train-salience")(train_salience)
app.command("ui")(ui)
app.command("verify")(verify)
app.add_typer(weights, name="weights")


def main() -> None:
    """Run the command line; a :class:`UnsegError` becomes one line and exit code 2."""
    try:
        app()
    except UnsegError as error:
        say(f"unseg: {error}", error=True, colour="red")
        sys.exit(2)


if __name__ == "__main__":
    main()
