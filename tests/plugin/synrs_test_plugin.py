"""An installed plugin, as a third party would write it: generators and a filter that need no weights."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from synrs_data.degradations.distributions import Choice, Uniform
from synrs_data.sample import GeneratorIdentity, Inputs, Request


class PaintOptions(BaseModel):
    """Options of the generator `paint`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 16
    batch_size: int = 4
    fail_file: str = ""
    most_at_once: int = 1000
    sleep_s: float = 0.0


class Paint:
    """Paints blocks whose colours depend on the batch, as the noise of a diffusion model does.

    `fail_file` names a file; while it exists, a request fails as its first letter says: `r` raises, `k` kills
    the process. The file is removed first, so that the next try succeeds.
    """

    Options: ClassVar[type[BaseModel]] = PaintOptions

    def __init__(self, options: PaintOptions) -> None:
        self._options = options
        self.batch_size = options.batch_size

    def digest(self) -> str:
        return "paint-1"

    def load(self, device: str) -> GeneratorIdentity:
        return GeneratorIdentity("paint", "local", "0" * 64, "Paint", "none", 1, 0.0, "", "mit", {})

    def generate(self, requests: Sequence[Request]) -> list[NDArray[np.uint8]]:
        if len(requests) > self._options.most_at_once:
            raise MemoryError("too many")
        self._fail()
        time.sleep(self._options.sleep_s)
        batch = hashlib.blake2b(str([request.seed for request in requests]).encode()).digest()[0]
        return [self._paint(request, batch) for request in requests]

    def _paint(self, request: Request, batch: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng([request.seed, batch])
        blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return blocks.repeat(self._options.size // 8, axis=0).repeat(self._options.size // 8, axis=1)

    def _fail(self) -> None:
        path = Path(self._options.fail_file)
        if self._options.fail_file and path.is_file():
            how = path.read_text()
            if not how.endswith("always"):
                path.unlink()
            if how.startswith("k"):
                os.kill(os.getpid(), 9)
            raise RuntimeError("asked to fail")


class PaintOver(Paint):
    """Paints over one of four images, which each sample keeps as `control.png`."""

    extra_fields = ("control.png",)

    def inputs(self, request: Request) -> Inputs:
        number = request.seed % 4
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (60 * number, 90, 30)).save(out, "PNG")
        digest = hashlib.sha256(out.getvalue()).hexdigest()
        return Inputs(digest, {"control.png": out.getvalue()}, {"control": f"{number}.png {request.image}"})


class Ruler:
    """Scores an image by its mean."""

    class Options(BaseModel):
        """No options."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    columns: ClassVar[dict[str, str]] = {"ruler_mean": "mean of the image, 0 to 255"}

    def __init__(self, options: BaseModel, labels: object) -> None: ...

    def thresholds(self) -> dict[str, Any]:
        return {}

    def digest(self) -> str:
        return ""

    def score(self, batch: Any) -> dict[str, list[float]]:
        return {"ruler_mean": [float(image.mean()) for image in batch.images]}


class ShrinkOptions(BaseModel):
    """Options of the degradation `shrink`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: int = 2
    fault: str = ""
    most_at_once: int = 1000


class Shrink:
    """Means of blocks, with seeded noise of a drawn strength; `fault` names what it does wrong."""

    Options: ClassVar[type[BaseModel]] = ShrinkOptions

    def __init__(self, options: ShrinkOptions) -> None:
        self._options = options
        self.scale = options.scale

    def digest(self) -> str:
        return ""

    def load(self, device: str) -> None:
        if self._options.fault == "raises":
            raise OSError("no such lens")

    def draw(self, seed: int, height: int, width: int) -> dict[str, Any]:
        if self._options.fault == "draws":
            return {"level": float("nan")}
        random = np.random.default_rng(seed)
        level = random.uniform(0, 20)
        kind = str(random.choice(["soft", "hard"], p=[0.25, 0.75]))
        return {"level": float(level), "kind": kind, "noise.seed": int(random.integers(2**53))}

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        return list(images)

    def degrade(
        self, images: Sequence[NDArray[np.uint8]], parameters: Sequence[Any]
    ) -> list[NDArray[np.uint8]]:
        if len(images) > self._options.most_at_once:
            raise MemoryError("too many")
        made = [self._degrade(image, drawn) for image, drawn in zip(images, parameters, strict=True)]
        return [image[1:] for image in made] if self._options.fault == "size" else made

    def _degrade(self, image: NDArray[np.uint8], drawn: Any) -> NDArray[np.uint8]:
        scale = self.scale
        height, width, _ = image.shape
        means = image.reshape(height // scale, scale, width // scale, scale, 3).mean(axis=(1, 3))
        noise = np.random.default_rng(drawn["noise.seed"]).normal(0, drawn["level"], means.shape)
        found: NDArray[np.uint8] = np.rint(means + noise).clip(0, 255).astype(np.uint8)
        return found

    def distributions(self) -> dict[str, Any]:
        return {"level": Uniform.between(0, 20), "kind": Choice({"soft": 0.25, "hard": 0.75})}
