"""A network trained from scratch for a fixed number of steps, so that arms of any size get the same optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from synrs_data.evaluate.protocols.augment import cutmix, cutout, flip_crop
from synrs_data.evaluate.protocols.base import Inputs, ProtocolOptions, Samples, check
from synrs_data.evaluate.protocols.networks import SMALL_CNN, make_network
from synrs_data.evaluate.protocols.scores import log_probabilities, over_all_classes
from synrs_data.evaluate.protocols.training import Choice, checkpoints, cosine, stream_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_AT_ONCE = 256
"""Images that are resized or scored at a time."""


class FromScratchOptions(ProtocolOptions):
    """Options of `from-scratch`."""

    network: str = Field(SMALL_CNN, description="`small-cnn`, or a model of timm.")
    steps: int = Field(300, ge=1, description="Optimisation steps, whatever the arm.")
    batch: int = Field(64, ge=2, description="Images of a step.")
    size: int | None = Field(
        None, ge=8, description="Side to which images are resized; as they are by default."
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="SGD has Nesterov momentum of 0.9.")
    lr: float | None = Field(
        None, gt=0, description="Highest learning rate; 3e-3 for AdamW and 0.1 for SGD by default."
    )
    weight_decay: float | None = Field(None, ge=0, description="0.05 for AdamW and 5e-4 for SGD by default.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    augmentation: str = Field(
        "none",
        description="`none`, or of `flip-crop`, `cutout` and `cutmix` those joined by +, while training.",
    )
    cutmix_probability: float = Field(
        0.5, ge=0, le=1, description="Share of the batches that CutMix changes."
    )
    real_share: float | None = Field(
        None, gt=0, lt=1, description="Share of real images in a batch; plain pooling by default."
    )
    checkpoints: int = Field(5, ge=1, description="Models that validation chooses from, evenly spaced.")

    @field_validator("augmentation")
    @classmethod
    def _known(cls, value: str) -> str:
        parts = value.split("+")
        if value != "none" and not set(parts) <= {"flip-crop", "cutout", "cutmix"}:
            raise ValueError(
                "it is none, flip-crop, cutout or cutmix, or several of the last three joined by +"
            )
        if len(set(parts)) < len(parts):
            raise ValueError("a part of it comes twice")
        return value


class FromScratch:
    """Supervised training with cross-entropy; the same (data, seed, threads) give the same scores on a CPU.

    Channels are standardised by mean and deviation of the training images. Every batch is full, so that BatchNorm works
    with one image a class. Scores are log-probabilities, at least -1000.

    Args:
        options: What is trained, and how.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: type[FromScratchOptions] = FromScratchOptions
    name: ClassVar[str] = "from-scratch"
    inputs: ClassVar[Inputs] = "images"
    needs_text: ClassVar[bool] = False

    def __init__(self, options: FromScratchOptions, device: str) -> None:
        self.options = options
        self._device = device

    def fit_predict(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        *,
        text: NDArray[np.float32] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        """Train, keep the best checkpoint, score the test; see `TrainingProtocol.fit_predict`."""
        import torch

        check(train, validation, test, classes, inputs=self.inputs, name=self.name)
        devices = [torch.device(self._device)] if self._device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            logits = self._trained(train, validation, test, classes, np.random.default_rng(seed))
        present = np.unique(train.labels)
        return over_all_classes(log_probabilities(logits[:, present]), present, classes)

    def _trained(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        random: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the logits of the best checkpoint for the test, (n_test, classes)."""
        from torch.nn import functional

        options = self.options
        pixels, held_out = self._pixels(train.inputs), self._pixels(validation.inputs)
        standard = _Standard(train.inputs, self._device)
        labels = _tensor(train.labels, self._device)
        network = make_network(options.network, classes, (pixels.shape[2], pixels.shape[3])).to(self._device)
        optimizer, lr = self._optimizer(network)
        batches = self._batches(train, random)
        validated, choice = checkpoints(options.steps, options.checkpoints), Choice(validation.labels)
        best: dict[str, Tensor] = {}
        network.train()
        for step in range(options.steps):
            for group in optimizer.param_groups:
                group["lr"] = lr * self._rate(step)
            index = _tensor(next(batches), self._device)
            images, partners, share = self._augmented(standard(pixels[index]), random)
            found = network(images)
            loss = functional.cross_entropy(found, labels[index])
            if share < 1:
                other = functional.cross_entropy(found, labels[index][_tensor(partners, self._device)])
                loss = share * loss + (1 - share) * other
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step + 1 in validated:
                if choice.better(self._logits(network, held_out, standard, classes)):
                    best = {name: value.clone() for name, value in network.state_dict().items()}
                network.train()
        network.load_state_dict(best)
        return self._logits(network, self._pixels(test), standard, classes)

    def _pixels(self, images: NDArray[np.uint8]) -> Tensor:
        """Return images as (n, 3, height, width) uint8 on the device, resized if the options say so."""
        import torch
        from torch.nn import functional

        pixels, size = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), self.options.size
        if size is not None and len(pixels):
            parts = [
                functional.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
                for part in torch.split(pixels, _AT_ONCE)
            ]
            pixels = torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
        return pixels.to(self._device)

    def _optimizer(self, network: nn.Module) -> tuple[Any, float]:
        """Return the optimiser and its highest learning rate."""
        import torch

        options, decay = self.options, self.options.weight_decay
        if options.optimizer == "adamw":
            adamw = torch.optim.AdamW(network.parameters(), weight_decay=0.05 if decay is None else decay)
            return adamw, options.lr or 3e-3
        sgd = torch.optim.SGD(
            network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-4 if decay is None else decay
        )
        return sgd, options.lr or 0.1

    def _rate(self, step: int) -> float:
        """Return the share of the learning rate at a step: a linear rise, then half a cosine to zero."""
        warm = round(self.options.warmup * self.options.steps)
        return (step + 1) / (warm + 1) if step < warm else cosine(step - warm, self.options.steps - warm)

    def _batches(self, train: Samples, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        options, items = self.options, np.arange(len(train))
        real, synthetic = items[~train.synthetic], items[train.synthetic]
        if options.real_share is None or not len(real) or not len(synthetic):
            yield from stream_of(items, options.batch, random)
            return
        size = min(options.batch - 1, max(1, round(options.real_share * options.batch)))
        streams = stream_of(real, size, random), stream_of(synthetic, options.batch - size, random)
        while True:
            yield np.concatenate([next(stream) for stream in streams])

    def _augmented(
        self, images: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, NDArray[np.int64], float]:
        """Return images, the partner of each, and the weight of its own label (1 without CutMix)."""
        kinds = self.options.augmentation.split("+")
        if "flip-crop" in kinds:
            images = flip_crop(images, random)
        if "cutout" in kinds:
            images = cutout(images, random)
        if "cutmix" in kinds and random.random() < self.options.cutmix_probability:
            return cutmix(images, random)
        return images, np.arange(len(images)), 1.0

    def _logits(
        self, network: nn.Module, pixels: Tensor, standard: _Standard, classes: int
    ) -> NDArray[np.float32]:
        import torch

        network.eval()
        parts = [np.empty((0, classes), dtype=np.float32)]
        with torch.inference_mode():
            for part in torch.split(pixels, _AT_ONCE) if len(pixels) else ():
                parts.append(network(standard(part)).float().cpu().numpy())
        return np.concatenate(parts)


class _Standard:
    """Pixels less the mean of each channel, by its deviation, over the training images."""

    def __init__(self, images: NDArray[np.uint8], device: str) -> None:
        counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
        values = np.arange(256)
        means = np.array([np.average(values, weights=count) for count in counts])
        squares = np.array([np.average(values**2, weights=count) for count in counts])
        # Images of one colour have no deviation: one grey level is the least that is told apart.
        deviations = np.sqrt(np.maximum(squares - means**2, 1.0))
        self._mean, self._deviation = (
            _tensor(part.astype(np.float32).reshape(1, 3, 1, 1), device) for part in (means, deviations)
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        import torch

        # Convolutions on a CPU take a third less time in this layout.
        return ((pixels.float() - self._mean) / self._deviation).to(memory_format=torch.channels_last)


def _tensor(values: NDArray[Any], device: str) -> Tensor:
    import torch

    return torch.from_numpy(values).to(device)
