"""`opensr-degradation`: the Sentinel-2 emulation of OpenSR for NAIP aerial images, with its own measured noise.

The package opensr-degradation (MIT, extra `opensr`, github.com/csaybar/opensr-degradation, read and run at 1.0.1)
makes NAIP images look like Sentinel-2. Of it are used, from its model `naip_d`:

- the blur, a Gaussian of 13 taps with sigma 3.0, 2.9 and 2.9 HR pixels for red, green and blue
  (naipd/blur.py), followed by bilinear sampling at every fourth pixel;
- the noise of Sentinel-2, drawn for each pixel from a table by reflectance (naipd/noise.py, `real_noise`);
- if asked for, `vae_histogram_matching` (naipd/harmonization.py): a small network guesses the histogram that
  Sentinel-2 would have, and the image takes it on.

Three choices are ours:

- **Reflectance.** An HR value v is taken as the reflectance v / 255, as the package itself takes NAIP's 8 bits. An
  LR reflectance r is stored as 255 r / `white`, rounded and clipped.
- **No near infrared.** The model has four bands, and an RGB image three: its near infrared is the mean of the
  three, and only red, green and blue of the result are kept. Blur and noise treat every band alone, so without
  histograms this changes nothing. With them it does: the network reads all four histograms together, and
  vegetation, which is bright in a true near infrared, is lost on it.
- **HR stays.** The package also returns its input with the new histogram; that image is thrown away, and the HR of
  a pair is the one that came in. With `vae_histogram_matching` LR and HR therefore differ in colour, as
  Sentinel-2 and aerial images do, and scores such as `pair_psnr` count that too.

It runs on the CPU whatever the device: most of it is NumPy. Each image is made alone, from its own seed, and the
random states of NumPy and torch, which the package draws from, are put back afterwards.
"""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from synrs_data.degradations.base import Image, Parameters
from synrs_data.degradations.distributions import Distribution
from synrs_data.errors import MissingExtraError, UserError

_PACKAGE = "opensr_degradation"
_SCALE = 4
_SMALLEST = 8
"""The blur mirrors 6 pixels at each border, and needs a side that is longer."""
_SEEDS = 2**32
"""NumPy's legacy generator takes seeds below this."""
_VAE_WHITE = 0.4


class OpenSrOptions(BaseModel):
    """Options of `opensr-degradation`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    reflectance: Literal["identity", "vae_histogram_matching"] = Field(
        "identity", description="Whether LR keeps the colours of HR or takes on the histogram of Sentinel-2."
    )
    noise: bool = Field(True, description="Add the noise of Sentinel-2.")
    white: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Reflectance that LR stores as 255; null for 1 with identity, 0.4 with histograms.",
    )


class OpenSr:
    """OpenSR's emulation of Sentinel-2; the scale is 4."""

    Options: ClassVar[type[BaseModel]] = OpenSrOptions

    def __init__(self, options: OpenSrOptions) -> None:
        if importlib.util.find_spec(_PACKAGE) is None:
            raise MissingExtraError("the degradation opensr-degradation", "opensr")
        self._options = options
        self._histograms = options.reflectance == "vae_histogram_matching"
        default = _VAE_WHITE if self._histograms else 1.0
        self._white = default if options.white is None else options.white
        self._pipe: Any = None

    @property
    def scale(self) -> int:
        """How many HR pixels one LR pixel covers along a side."""
        return _SCALE

    def digest(self) -> str:
        """Return the sha256 over the package's version and the model files that are used."""
        spec = importlib.util.find_spec(_PACKAGE)
        assert spec is not None and spec.origin is not None
        folder = Path(spec.origin).parent / "naipd" / "models"
        names = ["model_noise.pt"] * self._options.noise + ["model_vae.pt"] * self._histograms
        total = hashlib.sha256(version("opensr-degradation").encode())
        for name in names:
            try:
                total.update((folder / name).read_bytes())
            except OSError as error:
                raise UserError(
                    f"cannot be read: {error.strerror}",
                    where=str(folder / name),
                    fix="install opensr-degradation again",
                ) from error
        return total.hexdigest()

    def load(self, device: str) -> None:
        """Load the package's models, on the CPU."""
        try:
            with warnings.catch_warnings():
                # It imports pkg_resources and uses pydantic in ways that both call deprecated.
                warnings.simplefilter("ignore")
                from opensr_degradation import naip_vae_model, pipe
        except ImportError as error:
            # It declares neither all that it imports nor that pkg_resources left setuptools at 81.
            raise MissingExtraError(f"opensr-degradation ({error})", "opensr") from error
        parameters: dict[str, Any] = {"reflectance_method": [self._options.reflectance], "device": "cpu"}
        if self._histograms:
            parameters["vae_reflectance_model"] = naip_vae_model("cpu")
        self._pipe = pipe(sensor="naip_d", add_noise=self._options.noise, params=parameters)

    def draw(self, seed: int, height: int, width: int) -> dict[str, str | int | float | bool]:
        """Return `opensr.seed`, from which the package draws noise and histogram."""
        return {"opensr.seed": int(np.random.default_rng(seed).integers(_SEEDS))}

    def prepare(self, images: Sequence[Image]) -> list[Image]:
        """Return the HR images as they are."""
        return list(images)

    def degrade(self, images: Sequence[Image], parameters: Sequence[Parameters]) -> list[Image]:
        """Return the LR image of each HR image; see `Degradation.degrade`.

        Raises:
            UserError: An image has a side below 8 pixels.
        """
        return [
            self._one(image, int(drawn["opensr.seed"]))
            for image, drawn in zip(images, parameters, strict=True)
        ]

    def distributions(self) -> Mapping[str, Distribution]:
        """Return nothing: what the package draws is a value for each pixel."""
        return {}

    def _one(self, image: Image, seed: int) -> Image:
        import torch

        if min(image.shape[:2]) < _SMALLEST:
            raise UserError(
                f"an image of {image.shape[1]} x {image.shape[0]} pixels is too small for its blur",
                where="degradation, opensr-degradation",
                fix=f"make images of at least {_SMALLEST} pixels a side",
            )
        bands = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
        scene = torch.cat([bands, bands.mean(dim=0, keepdim=True)])
        with _own_randomness(seed), torch.inference_mode():
            low, _ = self._pipe.forward(scene)
        reflectance = low[0, :3].permute(1, 2, 0).double().numpy()
        stored: Image = np.floor(np.clip(reflectance * 255 / self._white, 0, 255) + 0.5).astype(np.uint8)
        return stored


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed the global generators of NumPy and of torch's CPU, and put back their states afterwards."""
    import torch

    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
