"""`models list` and `models convert`: published models, how to get each, what runs it, and whether it is here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.models.published import PublishedModel

app = typer.Typer(no_args_is_help=True, help="Published models that can be fetched.")


@app.callback()
def _models() -> None:
    """Published models that can be fetched."""


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List published models: where to get each, what runs it, whether it is in this folder; asks no network."""
    import json

    from synrs_data.models.published import published_models

    root = Path()
    models = published_models()
    if as_json:
        typer.echo(json.dumps({"models": [model.as_dict(root) for model in models]}))
        return
    width = max(len(model.name) for model in models)
    for model in models:
        here = model.is_here(root)
        mark = typer.style("here   ", fg="green") if here else typer.style("missing", fg="yellow")
        pixels = f"{model.pixels} px" if model.pixels else "px unknown"
        typer.echo(f"{mark} {model.name:{width}}  {pixels:10}  size: {model.size}")
        for key, value in _details(model):
            typer.echo(f"        {key:8} {value}")


@app.command("convert")
def convert_model(
    name: Annotated[
        str, typer.Argument(help="realesrgan-x4plus, realesrgan-x4plus-anime or realesr-animevideov3.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File, .pth or .safetensors; default: its place below models/."),
    ] = None,
) -> None:
    """Write Real-ESRGAN's weights, which the extra `sr` brings in another format, as a file of PyTorch."""
    from synrs_data.models.ncnn_convert import CONVERTIBLE, convert

    path = convert(name, out)
    typer.echo(f"{name}: {path}")
    if out is None:
        typer.echo(f"in a recipe: `model: {CONVERTIBLE[name].folder}` of the generator `spandrel-upscale`")


def _details(model: PublishedModel) -> list[tuple[str, str]]:
    """Return what stands below a model's first line."""
    record = f"zenodo.org/records/{model.zenodo}" if model.zenodo else ""
    runs = []
    if model.recipes:
        runs.append(f"recipes {', '.join(model.recipes)}")
    if model.generators:
        runs.append(f"generators {', '.join(model.generators)}")
    rows = [
        ("id", ", ".join(filter(None, (model.hub, record))) or "none"),
        ("licence", model.licence),
        ("get", model.get),
        ("folder", model.path),
        ("runs by", "; ".join(runs) or "not supported"),
        ("note", model.note),
    ]
    return [(key, value) for key, value in rows if value]
