"""DiffusionSat's UNet: that of Stable Diffusion 2.1, and an embedding for each number of geo-metadata.

Written from the description of the method (Khanna et al., ICLR 2024, section 3.1) and the names and shapes of the
published tensors: `metadata_embedding.{i}.linear_{1,2}.{weight,bias}`, each i a timestep embedding of its own.
Import it where torch may be imported.
"""

from __future__ import annotations

import inspect
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import TimestepEmbedding
from torch import Tensor, nn


class SatUNet(UNet2DConditionModel):  # type: ignore[misc]
    """A `UNet2DConditionModel` that adds embedded metadata to the embedding of the timestep.

    Args:
        *args: Those of `UNet2DConditionModel`.
        use_metadata: False for the plain UNet.
        num_metadata: Numbers an image.
        **kwargs: Those of `UNet2DConditionModel`.
    """

    def __init__(self, *args: Any, use_metadata: bool = True, num_metadata: int = 7, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_to_config(use_metadata=use_metadata, num_metadata=num_metadata)
        self.metadata_embedding: nn.ModuleList | None = None
        if use_metadata and num_metadata:
            if self.class_embedding is not None:
                raise ValueError("a SatUNet has metadata or classes, not both")
            linear_1, linear_2 = self.time_embedding.linear_1, self.time_embedding.linear_2
            self.metadata_embedding = nn.ModuleList(
                TimestepEmbedding(linear_1.in_features, linear_2.out_features) for _ in range(num_metadata)
            )

    def get_class_embed(self, sample: Tensor, class_labels: Tensor | None) -> Tensor | None:
        """Return the sum of the embedded metadata, which diffusers adds to the embedding of the timestep.

        Args:
            sample: Noisy latents, (batch, channels, height, width).
            class_labels: Metadata as `forward` got them, (batch, num_metadata).
        """
        if self.metadata_embedding is None:
            return super().get_class_embed(sample, class_labels)  # type: ignore[no-any-return]
        if class_labels is None or class_labels.shape != (len(sample), len(self.metadata_embedding)):
            found = None if class_labels is None else tuple(class_labels.shape)
            expected = (len(sample), len(self.metadata_embedding))
            raise ValueError(f"metadata of shape {expected} are needed, not {found}")
        # In half precision numbers near 1000 are 0.5 apart, 0.18 degrees of longitude: sinusoids are of float32.
        waves = self.time_proj(class_labels.float().reshape(-1)).reshape(*class_labels.shape, -1)
        waves = waves.to(sample.dtype)
        parts = [embed(waves[:, number]) for number, embed in enumerate(self.metadata_embedding)]
        total: Tensor = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def forward(self, *args: Any, metadata: Tensor | None = None, **kwargs: Any) -> Any:
        """Denoise as `UNet2DConditionModel.forward` does.

        Args:
            *args: Those of `UNet2DConditionModel.forward`.
            metadata: Normalised metadata, (batch, num_metadata), float32.
            **kwargs: Those of `UNet2DConditionModel.forward`.

        Raises:
            ValueError: The metadata are missing or of another shape.
        """
        if metadata is not None:
            kwargs["class_labels"] = metadata
        return super().forward(*args, **kwargs)


def _signature() -> inspect.Signature:
    """Return the parameters of both classes: diffusers reads from here which keys of config.json it keeps."""
    stock = inspect.signature(UNet2DConditionModel.__init__)
    own = [
        inspect.Parameter("use_metadata", inspect.Parameter.KEYWORD_ONLY, default=True),
        inspect.Parameter("num_metadata", inspect.Parameter.KEYWORD_ONLY, default=7),
    ]
    return stock.replace(parameters=[*stock.parameters.values(), *own])


SatUNet.__init__.__signature__ = _signature()  # type: ignore[attr-defined]
