"""Classifier tuning of He et al. (ICLR 2023): a linear head on frozen features that starts as the zero-shot classifier.

Settings are those of the paper and of CVMI-Lab/SyntheticData at 062ac23 (README.md; finetune.py, zeroshot.py,
modeling.py and utils.py of src/models), but the epoch is chosen on validation: theirs is the best one on the test set.

Their code reads cached features with `--batch-size` (128 by default) and not with the sizes that the paper and its
commands give (datasets/common.py, `get_dataloader`), while the cosine is laid out for the latter. Ours has the paper's.
They publish no settings for real images alone; ours are those of the few-shot command without its synthetic part.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synrs_data.errors import UserError
from synrs_data.evaluate.protocols.base import Inputs, ProtocolOptions, Samples, check
from synrs_data.evaluate.protocols.scores import log_probabilities, normalised
from synrs_data.evaluate.protocols.training import Choice, checkpoints, cosine, epochs_of


class ClassifierTuningOptions(ProtocolOptions):
    """Options of `classifier-tuning`."""

    epochs: int = Field(
        30, ge=1, description="Of the synthetic items; of the real ones where there are no others."
    )
    steps: int | None = Field(
        None, ge=1, description="Optimisation steps in all, instead of epochs: equal for arms of any size."
    )
    lr: float | None = Field(
        None, gt=0, description="Learning rate; 2e-3 for synthetic items alone and 1e-3 otherwise by default."
    )
    weight_decay: float = Field(0.1, ge=0, description="Of AdamW.")
    batch_real: int = Field(32, ge=1, description="Real items of a step.")
    batch_synthetic: int = Field(512, ge=1, description="Synthetic items of a step.")
    real_weight: float = Field(1.0, ge=0, description="Of the loss of the real items.")
    synthetic_weight: float = Field(1.0, ge=0, description="Of the loss of the synthetic items.")
    soft: float = Field(
        0.5, ge=0, le=1, description="Share of the soft targets in the loss of synthetic items."
    )
    temperature: float = Field(2.0, gt=0, description="Divides the teacher's logits.")
    clip: float = Field(1.0, gt=0, description="Longest gradient.")
    logit_scale: float = Field(
        100.0, gt=0, description="Length of the head's first weights: the encoder's; 100 for CLIP's models."
    )


class ClassifierTuning:
    """AdamW on a linear head; soft targets of the frozen zero-shot head on synthetic items.

    Scores are log-probabilities, at least -1000. A class without a training item keeps what its text gives it.

    Args:
        options: How it is trained.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: type[ClassifierTuningOptions] = ClassifierTuningOptions
    name: ClassVar[str] = "classifier-tuning"
    inputs: ClassVar[Inputs] = "features"
    needs_text: ClassVar[bool] = True

    def __init__(self, options: ClassifierTuningOptions, device: str) -> None:
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
        """Tune the head, keep the best epoch, score the test; see `TrainingProtocol.fit_predict`."""
        check(train, validation, test, classes, inputs=self.inputs, name=self.name)
        start = self._start(text, classes, train.inputs.shape[1])
        weights, biases = self._tuned(train, validation, start, seed)
        return log_probabilities(normalised(test) @ weights.T + biases).astype(np.float32)

    def _start(self, text: NDArray[np.float32] | None, classes: int, width: int) -> NDArray[np.float32]:
        if text is None or text.shape != (classes, width):
            raise UserError(
                "there are no text features"
                if text is None
                else f"the text features have the shape {text.shape}",
                where=f"protocol '{self.name}'",
                fix=f"give one for each class, ({classes}, {width}), from an encoder of images and texts",
            )
        if not np.isfinite(text).all():
            raise UserError(
                "a text feature is not finite", where=f"protocol '{self.name}'", fix="compute them again"
            )
        return normalised(text) * np.float32(self.options.logit_scale)

    def _tuned(
        self, train: Samples, validation: Samples, start: NDArray[np.float32], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (classes, width) and biases (classes,) of the best epoch."""
        import torch
        from torch.nn import functional

        options, device = self.options, self._device
        inputs = torch.from_numpy(normalised(train.inputs)).to(device)
        labels = torch.from_numpy(train.labels).to(device)
        held_out = torch.from_numpy(normalised(validation.inputs)).to(device)
        teacher = functional.softmax(
            inputs @ torch.from_numpy(start).to(device).T / options.temperature, dim=1
        )
        weights = torch.from_numpy(start).to(device).clone().requires_grad_()
        biases = torch.zeros(len(start), device=device, requires_grad=True)
        optimizer = torch.optim.AdamW([weights, biases], lr=0.0, weight_decay=options.weight_decay)

        batches = _Batches(train, options, np.random.default_rng(seed))
        steps = options.steps or options.epochs * batches.epoch
        lr = options.lr or (1e-3 if batches.has_real else 2e-3)
        validated, choice = checkpoints(steps, options.epochs), Choice(validation.labels)
        best = start, np.zeros(len(start), dtype=np.float32)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * cosine(step, steps)
            real, synthetic = batches.next()
            loss = torch.zeros((), device=device)
            if len(real):
                chosen = torch.from_numpy(real).to(device)
                logits = inputs[chosen] @ weights.T + biases
                loss = loss + options.real_weight * functional.cross_entropy(logits, labels[chosen])
            if len(synthetic):
                chosen = torch.from_numpy(synthetic).to(device)
                logits = inputs[chosen] @ weights.T + biases
                hard = functional.cross_entropy(logits, labels[chosen])
                soft = functional.cross_entropy(logits, teacher[chosen])
                loss = loss + options.synthetic_weight * ((1 - options.soft) * hard + options.soft * soft)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_([weights, biases], options.clip)
            optimizer.step()
            if step + 1 in validated:
                with torch.no_grad():
                    found = (
                        (held_out @ weights.T + biases).cpu().numpy() if len(validation) else np.empty((0, 0))
                    )
                if choice.better(found):
                    best = weights.detach().cpu().numpy().copy(), biases.detach().cpu().numpy().copy()
        return best


class _Batches:
    """Pairs of real and synthetic batches; an epoch is one of the synthetic items, where there are any.

    The real items start anew, in a new order, with each epoch (finetune.py, `finetune_fsl`).
    """

    def __init__(self, train: Samples, options: ClassifierTuningOptions, random: np.random.Generator) -> None:
        self._real, self._synthetic = np.flatnonzero(~train.synthetic), np.flatnonzero(train.synthetic)
        self._sizes, self._random, self._step = (options.batch_real, options.batch_synthetic), random, 0
        size = options.batch_synthetic if len(self._synthetic) else options.batch_real
        self.has_real = bool(len(self._real))
        self.epoch = math.ceil((len(self._synthetic) or len(self._real)) / size)
        """Steps of an epoch."""

    def next(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the next step, either of which may be empty."""
        if self._step % self.epoch == 0:
            self._streams = [
                epochs_of(items, size, self._random) if len(items) else None
                for items, size in zip((self._real, self._synthetic), self._sizes, strict=True)
            ]
        self._step += 1
        nothing = np.empty(0, dtype=np.int64)
        real, synthetic = (next(stream) if stream else nothing for stream in self._streams)
        return real, synthetic
