"""Presets of `sensor`: an instrument as data, shipped under `builders/vocab/degradations` or a user's own file."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from synrs_data.degradations.presets import load_preset_of

KIND = "sensor"
BandName = Literal["r", "g", "b"]
BANDS: tuple[BandName, ...] = ("r", "g", "b")


def _spread(value: Any) -> Any:
    """Return a range of a number or of a list of two."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Spread = Annotated[tuple[float, float], BeforeValidator(_spread)]
"""Lowest and highest value of a uniform draw; one number for both is a constant."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Band(_Part):
    """One band of an instrument.

    Attributes:
        mtf: Modulation transfer function of the whole system at the LR Nyquist frequency, 0.01 to 0.6: optics
            and detector together, as instruments are specified. A square detector alone has 0.64 to 0.71.
        sigma: Standard deviation of the optics' Gaussian in LR pixels instead, without the detector.
        snr: Signal-to-noise ratio where the signal is `reference`; null for no noise.
        reference: That signal, as a share of full scale.
        read: Standard deviation of the read noise, as a share of full scale.
    """

    mtf: Spread | None = None
    sigma: Spread | None = None
    snr: Spread | None = None
    reference: float = Field(0.2, gt=0, le=1)
    read: float = Field(0.0, ge=0, le=0.5)

    @field_validator("mtf", "sigma", "snr")
    @classmethod
    def _ordered(cls, spread: tuple[float, float] | None) -> tuple[float, float] | None:
        if spread is not None and spread[0] > spread[1]:
            raise ValueError(f"{spread[0]} is above {spread[1]}")
        return spread

    @model_validator(mode="after")
    def _possible(self) -> Band:
        if (self.mtf is None) == (self.sigma is None):
            raise ValueError("give either mtf or sigma")
        for name, low, high in (("mtf", 0.01, 0.6), ("sigma", 0.0, 4.0), ("snr", 1.0, 1e6)):
            spread = getattr(self, name)
            if spread is not None and not low <= spread[0] <= spread[1] <= high:
                raise ValueError(f"{name} is not within {low:g} and {high:g}")
        if self.snr is not None and self.read > self.reference / self.snr[1]:
            raise ValueError(
                f"read noise of {self.read:g} alone is more than an SNR of {self.snr[1]:g} allows"
            )
        return self


class Bands(_Part):
    """The bands of an instrument that make an RGB image."""

    r: Band
    g: Band
    b: Band

    def __getitem__(self, name: BandName) -> Band:
        return {"r": self.r, "g": self.g, "b": self.b}[name]


class SensorPreset(_Part):
    """An instrument.

    Attributes:
        kind: "sensor".
        title: What it stands for.
        source: Where the numbers come from.
        shift: Largest shift of the whole LR grid along each axis, in LR pixels.
        misregistration: Largest shift of each band beside that, in LR pixels.
        bits: Levels that the detector tells apart, as a power of two.
        bands: Red, green and blue.
    """

    kind: Literal["sensor"]
    title: str = ""
    source: str = ""
    shift: float = Field(0.0, ge=0, le=2)
    misregistration: float = Field(0.0, ge=0, le=2)
    bits: int = Field(12, ge=1, le=16)
    bands: Bands


def load_preset(name: str) -> SensorPreset:
    """Load a preset by shipped name or path; see `load_preset_of`."""
    return load_preset_of(KIND, name, SensorPreset)


def preset_digest(preset: SensorPreset) -> str:
    """Return the sha256 over all of a preset that decides images."""
    text = preset.model_dump_json(exclude={"title", "source"})
    return hashlib.sha256(text.encode()).hexdigest()
