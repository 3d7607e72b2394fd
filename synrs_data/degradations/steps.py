"""The steps of a second-order degradation that change the image, as data: blur, resize, noise and JPEG."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"{span[0]:g} is above {span[1]:g}")
    return span


def add_up(shares: dict[str, float]) -> dict[str, float]:
    """Return probabilities that add up to 1.

    Raises:
        ValueError: They do not.
    """
    if shares and (min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-9):
        raise ValueError(f"probabilities are 0 or more and add up to 1, not {sum(shares.values()):g}")
    return shares


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a kernel has an odd number of pixels along a side")
    return size


Positive = Annotated[float, Field(gt=0)]
Span = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value of a uniform draw."""
PositiveSpan = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
NonNegative = Annotated[float, Field(ge=0)]
NonNegativeSpan = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_ordered)]
Probability = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
KernelKind = Literal[
    "iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"
]
Mode = Literal["area", "bilinear", "bicubic", "nearest", "exact_area", "antialiased_bicubic"]
Channels = Literal["colour", "gray", "correlated"]
NoiseKind = Literal["gaussian", "poisson"]
Direction = Literal["up", "down", "keep"]


class Part(BaseModel):
    """Base of every part of a preset: unknown keys are errors, values are finite and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Skippable(Part):
    """What every step that may be left out has.

    Attributes:
        name: Its parameters are called `name.` and so on.
        probability: How often it is done at all.
    """

    name: Name
    probability: Probability = 1.0


class Cutoff(Part):
    """The cut-off frequency of sinc kernels smaller than `below`, in radians a pixel; null: of all others."""

    below: int | None = None
    range: Annotated[
        tuple[Positive, Annotated[float, Field(le=3.1415926535897936)]], AfterValidator(_ordered)
    ]


class Blur(Skippable):
    """Filter with a random kernel, borders reflected without their outermost pixel.

    Attributes:
        sizes: Pixels along a side of the kernel, all equally likely.
        kernels: Probability of each kind, if it is no sinc kernel.
        sinc: Probability of a sinc kernel.
        cutoffs: Of sinc kernels; the first that fits counts.
        sigma: Standard deviations in pixels; of anisotropic kernels, along both axes.
        variance: The same squared, for anisotropic kernels instead of `sigma`.
        rotation: Of anisotropic kernels, in radians.
        generalized_beta: Shape of generalized kernels: half of the time from the lowest to 1, half from 1 to the
            highest.
        plateau_beta: Shape of plateau kernels, likewise.
        shift: Pixels by which the kernel looks right and down.
    """

    step: Literal["blur"]
    sizes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=101), AfterValidator(_odd)], ...], Field(min_length=1)
    ]
    kernels: Annotated[dict[KernelKind, float], AfterValidator(add_up)] = {}
    sinc: float = Field(0.0, ge=0, le=1)
    cutoffs: tuple[Cutoff, ...] = ()
    sigma: NonNegativeSpan | None = None
    variance: NonNegativeSpan | None = None
    rotation: Span | None = None
    generalized_beta: PositiveSpan | None = None
    plateau_beta: PositiveSpan | None = None
    shift: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _complete(self) -> Blur:
        if "sinc" in self.kernels:
            raise ValueError("the probability of sinc kernels is the key `sinc`, not one of `kernels`")
        if self.sinc < 1 and not self.kernels:
            raise ValueError("`kernels` is missing")
        kinds = [kind for kind, share in self.kernels.items() if share > 0]
        turned = [kind for kind in kinds if kind.endswith("aniso")]
        for key, needed in (
            ("sigma", any(kind not in turned for kind in kinds) or (turned and self.variance is None)),
            ("rotation", turned),
            ("generalized_beta", any(kind.startswith("generalized") for kind in kinds)),
            ("plateau_beta", any(kind.startswith("plateau") for kind in kinds)),
            ("cutoffs", self.sinc > 0),
        ):
            if needed and not getattr(self, key):
                raise ValueError(f"`{key}` is missing")
        for span in (self.generalized_beta, self.plateau_beta):
            if span is not None and not span[0] <= 1 <= span[1]:
                raise ValueError("a range of beta does not hold 1")
        if self.cutoffs and self.cutoffs[-1].below is not None:
            raise ValueError("the last of `cutoffs` has no `below`: it is that of all larger kernels")
        return self

    def cutoff(self, size: int) -> tuple[float, float]:
        """Return the range of cut-off frequencies of a sinc kernel of a size."""
        return next(item.range for item in self.cutoffs if item.below is None or size < item.below)


class Resize(Skippable):
    """Change the size of the image.

    Attributes:
        relative_to: What a factor multiplies: the image as it is at this step, or the LR image to be made.
        grid: Distance of the sampling points: 1 / factor, or old size / new size. They differ because sizes are
            whole. (`scale_factor` and `size` of `torch.nn.functional.interpolate`.)
        factor: The factor, if it is not drawn.
        directions: Probability of up, down and keep.
        range: Factors: up from 1 to the highest, down from the lowest to 1.
        divisor: Range of the factor's inverse, drawn instead.
        modes: Ways to interpolate, all equally likely.
        clip: Bring values back to 0 to 1.
    """

    step: Literal["resize"]
    relative_to: Literal["image", "lr"]
    grid: Literal["factor", "size"] = "size"
    factor: Positive | None = None
    directions: Annotated[dict[Direction, float], AfterValidator(add_up)] = {}
    range: PositiveSpan | None = None
    divisor: PositiveSpan | None = None
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)]
    clip: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Resize:
        if sum((self.factor is not None, bool(self.directions), self.divisor is not None)) != 1:
            raise ValueError("give one of `factor`, `divisor`, and `directions` with `range`")
        if bool(self.directions) != (self.range is not None):
            raise ValueError("`directions` and `range` belong together")
        if self.range is not None and not self.range[0] <= 1 <= self.range[1]:
            raise ValueError("the range of factors does not hold 1")
        if self.grid == "factor" and self.relative_to == "lr":
            raise ValueError("`grid: factor` needs `relative_to: image`")
        return self

    @property
    def reaches_lr(self) -> bool:
        """Whether the image has the size of the LR image after this step."""
        return self.relative_to == "lr" and self.factor == 1


class Noise(Skippable):
    """Add noise; values are then clipped to 0 to 1.

    Attributes:
        kinds: Probability of Gaussian and of Poisson noise.
        channels: Probability of noise of its own in each channel, the same in all, and correlated among them.
        sigma: Standard deviation of Gaussian noise, in grey levels of 255.
        whole: Whether `sigma` is a whole number, both ends included.
        correlated_sigma: That of correlated noise, which is not drawn.
        poisson_scale: What Poisson noise is multiplied by.
    """

    step: Literal["noise"]
    kinds: Annotated[dict[NoiseKind, float], AfterValidator(add_up), Field(min_length=1)]
    channels: Annotated[dict[Channels, float], AfterValidator(add_up), Field(min_length=1)]
    sigma: PositiveSpan | None = None
    whole: bool = False
    correlated_sigma: Positive | None = None
    poisson_scale: PositiveSpan | None = None

    @model_validator(mode="after")
    def _complete(self) -> Noise:
        correlated = self.channels.get("correlated", 0) > 0
        for key, needed in (
            ("sigma", self.kinds.get("gaussian", 0) > 0),
            ("poisson_scale", self.kinds.get("poisson", 0) > 0),
            ("correlated_sigma", correlated),
        ):
            if needed and getattr(self, key) is None:
                raise ValueError(f"`{key}` is missing")
        if correlated and self.kinds.get("poisson", 0) > 0:
            raise ValueError("Poisson noise is not correlated among channels")
        if self.whole and self.sigma is not None:
            _whole(self.sigma)
        return self


class Jpeg(Skippable):
    """Compress and decompress by JPEG, 4:2:0.

    Attributes:
        quality: Range of the quality.
        whole: Whether it is a whole number, both ends included.
        codec: See `synrs_data.degradations.jpeg`.
    """

    step: Literal["jpeg"]
    quality: Annotated[
        tuple[Annotated[float, Field(ge=1, le=100)], Annotated[float, Field(ge=1, le=100)]],
        AfterValidator(_ordered),
    ]
    whole: bool = False
    codec: Literal["diffjpeg", "libjpeg"]

    @model_validator(mode="after")
    def _complete(self) -> Jpeg:
        if self.whole:
            _whole(self.quality)
        return self


Leaf = Blur | Resize | Noise | Jpeg


def _whole(span: tuple[float, float]) -> None:
    if not (span[0].is_integer() and span[1].is_integer()):
        raise ValueError(f"`whole` needs whole numbers, not {span[0]:g} and {span[1]:g}")
