"""`compact-sr`: the compact residual network, trained on the pairs of each arm; and what of it enters a result."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from synrs_data.build.environment import choose_devices
from synrs_data.errors import RecipeError
from synrs_data.evaluate.baselines.base import BaselineRecord, in_domain
from synrs_data.evaluate.benchmark import SuperResolution
from synrs_data.evaluate.results import ZERO_SHOT, ProtocolRecord
from synrs_data.evaluate.run import parse_baseline
from synrs_data.evaluate.super_resolution.training import TrainingOptions
from synrs_data.evaluate.super_resolution.upscalers import UPSCALERS, Upscaler, make_upscaler
from synrs_data.resources import suggestion
from synrs_data.vocabulary import explain

COMPACT = "compact-sr"

PAIR_TRAINING = "pair-training"
"""Protocol of `compact-sr`; its options are `TrainingOptions`."""


@dataclass(frozen=True, slots=True)
class CompactSr:
    """The baseline that is trained here.

    Attributes:
        options: Size of the network, and how it is trained.
        name: What its results are called.
    """

    options: TrainingOptions
    name: str = COMPACT


def make_sr_baseline(text: str, device: str = "auto") -> Upscaler | CompactSr:
    """Return the baseline of super-resolution that a user named.

    Args:
        text: `NAME`, or `NAME:KEY=VALUE,KEY=VALUE` with options.
        device: "auto", "cpu" or "cuda".

    Raises:
        RecipeError: There is no such baseline or option.
        UserError: It cannot be used here.
    """
    name, options = parse_baseline(text)
    if name == COMPACT:
        try:
            return CompactSr(TrainingOptions.model_validate(options))
        except ValidationError as error:
            raise RecipeError(
                f"`--baseline {text}`: {explain(error, TrainingOptions)}", fix="correct its options"
            ) from error
    if name not in UPSCALERS:
        raise RecipeError(
            f"unknown baseline '{name}' of super-resolution",
            fix=suggestion(name, [*UPSCALERS, COMPACT], what="baseline"),
        )
    return make_upscaler(name, options, choose_devices(device, 1, 1)[0])


def records(
    benchmark: SuperResolution, baseline: Upscaler | CompactSr
) -> tuple[BaselineRecord, ProtocolRecord]:
    """Return what a baseline says of itself, and how it was made."""
    if isinstance(baseline, CompactSr):
        own = BaselineRecord(
            name=baseline.name,
            method=COMPACT,
            model="none",
            weights_sha256=None,
            preprocessing={"dtype": "float32"},
            # Before its arms; what they are trained on, they say themselves.
            trained_on=(),
            in_domain=False,
        )
        return own, ProtocolRecord(name=PAIR_TRAINING, options=baseline.options.model_dump(mode="json"))
    said = baseline.record()
    record = BaselineRecord(**said.model_dump(), in_domain=in_domain(said.trained_on, benchmark))
    return record, ProtocolRecord(name=ZERO_SHOT, options={})
