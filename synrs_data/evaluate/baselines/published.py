"""Zero-shot, retrieval, or features to train on, by published weights of CLIP, RemoteCLIP, GeoRSCLIP and SkyCLIP.

It knows their architectures and activation, what they were trained on and their licences.

Sources: the READMEs and evaluation code of openai/CLIP, ChenDelong1999/RemoteCLIP, om-ai-lab/RS5M and
wangzhecheng/SkyScript; docs/baselines.md says what is settled and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pydantic import Field

from synrs_data.errors import RecipeError, WeightsError
from synrs_data.evaluate.baselines.encoder import (
    EncoderBaseline,
    EncoderOptions,
    LoadedEncoder,
    Origin,
    QuickGelu,
    result_name,
    wanted,
)
from synrs_data.models.encoder import encoder_digest, load_encoder
from synrs_data.models.weights_file import WeightsFile, locate_file
from synrs_data.resources import suggestion


@dataclass(frozen=True, slots=True)
class Published:
    """Weights of one architecture.

    Attributes:
        quick_gelu: Whether they were trained with QuickGELU.
        repository: Hub id that has them; empty where none has.
        file: Their file there.
    """

    quick_gelu: bool
    repository: str = ""
    file: str = ""


class PublishedOptions(EncoderOptions):
    """Options of published encoders of open_clip."""

    architecture: str = Field("ViT-B-32", description="One of those that are published.")
    weights: str = Field("", description="File, folder or Hub id; by default the publisher's Hub id.")
    file: str | None = Field(None, description="Which file of a folder or Hub id.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub id.")
    quick_gelu: QuickGelu = Field("auto", description="auto: as the weights were trained.")


class PublishedClip(EncoderBaseline):
    """Weights that somebody published for an architecture of open_clip.

    Args:
        options: Which of them, and where they lie.
        device: "cpu", "cuda", "cuda:1".

    Attributes:
        published: Weights by architecture.
        license: Of the weights, where no card beside them says it.
        get: How to get weights that no Hub id has.
    """

    Options: type[PublishedOptions] = PublishedOptions
    published: ClassVar[Mapping[str, Published]]
    license: ClassVar[str]
    get: ClassVar[str] = ""

    def __init__(self, options: PublishedOptions, device: str) -> None:
        super().__init__(options, device)
        self._options = options
        if options.architecture not in self.published:
            raise RecipeError(
                f"there are no weights of '{self.method}' for the architecture '{options.architecture}'",
                fix=suggestion(options.architecture, list(self.published), what="architecture"),
            )
        self.name = result_name(f"{self.method}-{options.architecture}")

    @cached_property
    def _file(self) -> WeightsFile:
        options, known = self._options, self.published[self._options.architecture]
        if options.weights:
            return locate_file(options.weights, revision=options.revision, file=options.file)
        if not known.repository:
            raise WeightsError(f"'{self.method}' needs its weights: no Hub id has them", fix=self.get)
        return locate_file(known.repository, revision=options.revision, file=options.file or known.file)

    @property
    def _architecture(self) -> str:
        """Name of the architecture with the activation that is asked for, or else that of the weights."""
        said, name = wanted(self._options.quick_gelu), self._options.architecture
        quick = self.published[name].quick_gelu if said is None else said
        return f"{name}-quickgelu" if quick else name

    @property
    def _encoder(self) -> LoadedEncoder:
        # What is asked for by "auto" still meets the check of weights that are known to be others.
        said = wanted(self._options.quick_gelu)
        return load_encoder(self._architecture, str(self._file.path), self._device, said)

    def _digest(self) -> str:
        return encoder_digest(self._architecture, str(self._file.path))

    def _origin(self) -> Origin:
        known, file = self.published[self._options.architecture], self._file
        return Origin(
            self._options.weights or known.repository,
            file.sha256(),
            file.revision,
            self.license if file.license == "unknown" else file.license,
        )


class ClipOptions(PublishedOptions):
    """Options of `clip`."""

    trained_on: tuple[str, ...] | None = Field(("openai-wit",), description="OpenAI's 400 million pairs.")


class Clip(PublishedClip):
    """OpenAI's CLIP, in the safetensors that timm has made of it."""

    Options = ClipOptions
    method = "clip"
    license = "mit"
    published: ClassVar[Mapping[str, Published]] = {
        architecture: Published(True, f"timm/{name}.openai", "open_clip_model.safetensors")
        for architecture, name in {
            "RN50": "resnet50_clip",
            "ViT-B-32": "vit_base_patch32_clip_224",
            "ViT-B-16": "vit_base_patch16_clip_224",
            "ViT-L-14": "vit_large_patch14_clip_224",
            "ViT-L-14-336": "vit_large_patch14_clip_336",
        }.items()
    }


class RemoteClipOptions(PublishedOptions):
    """Options of `remoteclip`."""

    trained_on: tuple[str, ...] | None = Field(
        ("openai-wit", "rsitmd", "rsicd", "ucmerced"),
        description="After OpenAI's pairs RET-3, whose training splits are in-domain, and captions made of boxes.",
    )


class RemoteClip(PublishedClip):
    """RemoteCLIP, tuned from OpenAI's weights."""

    Options = RemoteClipOptions
    method = "remoteclip"
    license = "unknown (code: apache-2.0)"
    published: ClassVar[Mapping[str, Published]] = {
        name: Published(True, "chendelong/RemoteCLIP", f"RemoteCLIP-{name}.pt")
        for name in ("RN50", "ViT-B-32", "ViT-L-14")
    }


class GeoRsClipOptions(PublishedOptions):
    """Options of `georsclip`."""

    trained_on: tuple[str, ...] | None = Field(
        ("rs5m", "bigearthnet", "fmow", "millionaid"),
        description="RS5M: filtered pairs of the web, and three data sets with captions made by a model.",
    )


class GeoRsClip(PublishedClip):
    """GeoRSCLIP: B and L tuned from OpenAI's weights, H from LAION's."""

    Options = GeoRsClipOptions
    method = "georsclip"
    license = "cc (code: mit)"
    published: ClassVar[Mapping[str, Published]] = {
        name: Published(name != "ViT-H-14", "Zilun/GeoRSCLIP", f"ckpt/RS5M_{name}.pt")
        for name in ("ViT-B-32", "ViT-L-14", "ViT-L-14-336", "ViT-H-14")
    }


class SkyClipOptions(PublishedOptions):
    """Options of `skyclip`."""

    trained_on: tuple[str, ...] | None = Field(("skyscript",), description="SkyScript.")


class SkyClip(PublishedClip):
    """SkyCLIP: L/14 tuned from OpenAI's weights, B/32 from LAION's."""

    Options = SkyClipOptions
    method = "skyclip"
    license = "mit"
    get = (
        "download a checkpoint that the README of github.com/wangzhecheng/SkyScript links to, unpack it and give "
        "`weights=FILE` of its epoch_20.pt"
    )
    published: ClassVar[Mapping[str, Published]] = {
        "ViT-B-32": Published(quick_gelu=False),
        "ViT-L-14": Published(quick_gelu=True),
    }
