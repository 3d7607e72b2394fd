"""Zero-shot, retrieval, or features to train on, by SigLIP or Git-RSCLIP of transformers."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field

from synrs_data.evaluate.baselines.encoder import (
    EncoderBaseline,
    EncoderOptions,
    LoadedEncoder,
    Origin,
    result_name,
)
from synrs_data.models.siglip import load_siglip
from synrs_data.models.source import ModelFolder, fetch_files, locate


class SiglipOptions(EncoderOptions):
    """Options of `siglip`."""

    model: str = Field("google/siglip-base-patch16-256", description="Folder or Hub id of a SigLIP model.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id.")
    trained_on: tuple[str, ...] | None = Field(("webli",), description="WebLI.")


class Siglip(EncoderBaseline):
    """Any SigLIP model of transformers.

    Texts are padded to the model's full length. Its sigmoid is left out: it does not change any order.

    Args:
        options: What to load.
        device: "cpu", "cuda", "cuda:1".
    """

    Options: type[SiglipOptions] = SiglipOptions
    method = "siglip"

    def __init__(self, options: SiglipOptions, device: str) -> None:
        super().__init__(options, device)
        self._options = options
        self.name = result_name(options.model.rstrip("/")) or self.method

    @cached_property
    def _folder(self) -> ModelFolder:
        return locate(
            self._options.model, revision=self._options.revision, fetch=fetch_files(["model*.safetensors"])
        )

    @property
    def _encoder(self) -> LoadedEncoder:
        return load_siglip(str(self._folder.path), self._device)

    def _digest(self) -> str:
        return self._folder.sha256()

    def _origin(self) -> Origin:
        found = self._folder
        return Origin(self._options.model, found.sha256(), found.revision, found.license)


class GitRsClipOptions(SiglipOptions):
    """Options of `git-rsclip`."""

    model: str = Field(
        "lcybuaa/Git-RSCLIP", description="Folder or Hub id; Git-RSCLIP-base is the smaller one."
    )
    trained_on: tuple[str, ...] | None = Field(
        ("webli", "git-10m"), description="Git-10M, after SigLIP's WebLI."
    )


class GitRsClip(Siglip):
    """Git-RSCLIP, a SigLIP tuned on Git-10M."""

    Options = GitRsClipOptions
    method = "git-rsclip"
