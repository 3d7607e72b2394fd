"""`eval distance`: how far synthetic images are from real ones, and whether they are copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synrs_data.evaluate.distribution.records import Measure, Report
    from synrs_data.evaluate.distribution.sets import Role


def distance(
    synthetic: Annotated[
        str,
        typer.Argument(
            help="Synthetic images: a build, folder, tar, hf://datasets/USER/NAME or saved features."
        ),
    ],
    real: Annotated[str, typer.Option("--real", help="Real images that they shall be like.")],
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            help="Encoder by name, folder or Hub id, or timm:FOLDER. Default: eurosat-tiny-clip.",
        ),
    ] = None,
    train: Annotated[
        str | None, typer.Option("--train", help="Real images that the generator was trained on.")
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", help="Real images of a test, for floors and leaks.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("out", "distance"),
    most: Annotated[
        int | None, typer.Option("--most", min=8, help="Draw so many images of each set at most.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    save_features: Annotated[
        bool, typer.Option("--save-features", help="Write the features too, to be given instead of images.")
    ] = False,
) -> None:
    """Measure synthetic images against real ones: distances, shares, captions, nearest neighbours, leaks."""
    from synrs_data.errors import UserError
    from synrs_data.evaluate.distribution.run import measure_distance

    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"there is no device '{device}'", fix="give auto, cpu or cuda")
    locations: dict[Role, str] = {"synthetic": synthetic, "real": real}
    locations |= {"train": train} if train is not None else {}
    locations |= {"test": test} if test is not None else {}
    report = measure_distance(
        locations,
        out,
        extractor=extractor,
        device=device,
        most=most,
        seed=seed,
        save=save_features,
        progress=lambda line: typer.echo(line, err=True),
    )
    for line in _lines(report):
        typer.echo(line)
    typer.echo(str(out / "distance.json"))


def _lines(report: Report) -> Iterator[str]:
    sizes = ", ".join(f"{each.role} {each.n}" for each in report.sets)
    yield f"extractor {report.extractor.id} ({report.extractor.sha256[:12]}); images: {sizes}"
    yield f"{'measure':26}  {'synthetic to real':>28}  {'test to real':>28}  {'n':>6}"
    floors = {each.name: each for each in report.measures if each.pair == "test-real"}
    for each in report.measures:
        if each.pair == "synthetic-real":
            floor = floors.get(each.name)
            yield (
                f"{each.name.partition('@')[0]:26}  {_number(each):>28}  {_number(floor) if floor else '-':>28}  "
                f"{each.n:>6}"
            )
    for caution in {caution: None for each in report.measures for caution in each.cautions}:
        yield f"  caution: {caution}"
    if (captions := report.captions) is not None:
        yield (
            f"captions: cosine {captions.mean:.4f}, with captions of others {captions.null:.4f} "
            f"(deviation {captions.null_deviation:.4f}), difference {captions.difference:.4f} "
            f"({captions.low:.4f} to {captions.high:.4f}), {captions.captions} captions"
        )
    if (near := report.nearness) is not None:
        yield (
            f"nearest image of {near.training}: median distance {near.median:.4f}, of {near.floor} images "
            f"{near.floor_median:.4f}; nearer than those in {near.nearer * 100:.1f} % of pairs "
            f"({near.nearer_low * 100:.1f} to {near.nearer_high * 100:.1f}); {near.below_limit * 100:.2f} % nearer "
            f"than all but 1 % of them"
        )
        yield (
            f"authentic: {near.authentic * 100:.1f} % ({near.authentic_low * 100:.1f} to "
            f"{near.authentic_high * 100:.1f}), of {near.floor} images {near.floor_authentic * 100:.1f} %"
        )
        if near.floor_copies:
            yield (
                f"  caution: {near.floor_copies} of the {near.floor} images are copies of images of {near.training}, "
                f"so the floor is too low"
            )
    for leak in report.leaks:
        yield (
            f"copies of test images: {leak.exact} exact and {leak.near} within {leak.distance} bits of "
            f"{leak.n} {leak.role} images"
        )
    for text in report.left_out:
        yield f"not measured: {text}"


def _number(each: Measure) -> str:
    if each.low is not None and each.high is not None:
        return f"{each.value:.4f} ({each.low:.4f} to {each.high:.4f})"
    deviation = each.settings.get("deviation")
    spread = each.standard_error if each.standard_error is not None else deviation
    return f"{each.value:.3g} +- {spread:.2g}" if isinstance(spread, float) else f"{each.value:.3g}"
