"""The embedded encoder, zero-shot: `open-clip` with its name and training data filled in."""

from __future__ import annotations

from pydantic import Field

from synrs_data.evaluate.baselines.encoder import OpenClip, OpenClipOptions


class EurosatTinyClipOptions(OpenClipOptions):
    """Options of `eurosat-tiny-clip`."""

    model: str = Field("eurosat-tiny-clip", description="The embedded encoder.")
    trained_on: tuple[str, ...] | None = Field(
        ("eurosat",), description="Pool `generator` of EuroSAT; none of its pools `real` and `test`."
    )


class EurosatTinyClip(OpenClip):
    """The embedded encoder."""

    Options = EurosatTinyClipOptions
    method = "eurosat-tiny-clip"
