"""The generator `real-guidance`: images that start from noised real ones, any image-to-image pipeline of diffusers."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from synrs_data.generators.diffusion import DiffusersOptions
from synrs_data.generators.from_real import FromReal, FromRealOptions

PUBLISHED_STRENGTHS = {16: 0.15, 8: 0.20, 4: 0.35, 2: 0.40, 1: 0.50}
"""Share of the noise by shots a label: step t* of 100 in He et al. (ICLR 2023), real guidance."""


class RealGuidanceOptions(FromRealOptions):
    """Options of the generator `real-guidance`."""

    strength: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the noise that is added; null for the published one of 16, 8, 4, 2 or 1 shots.",
    )

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        """Write out the published strength of the shots."""
        if not isinstance(values, dict) or values.get("strength") is not None:
            return values
        shots = values.get("shots", cls.model_fields["shots"].default)
        if not isinstance(shots, int) or shots < 1:
            return values
        if shots not in PUBLISHED_STRENGTHS:
            known = ", ".join(map(str, PUBLISHED_STRENGTHS))
            raise ValueError(f"no strength is published for {shots} shots (only for {known}): set `strength`")
        return {**values, "strength": PUBLISHED_STRENGTHS[shots]}


class RealGuidance(FromReal):
    """Real guidance of He et al. (ICLR 2023, section 3.3): denoise noised real images of the same label.

    `strength: 0.5` and `guidance_scale: 7.5` are those of DA-Fusion (Trabucco et al., ICLR 2024), without its
    learned tokens.
    """

    Options: ClassVar[type[DiffusersOptions]] = RealGuidanceOptions
