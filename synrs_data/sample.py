"""The values that flow: captions, requests to a generator, and the provenance of a sample."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from synrs_data.geo import GeoRecord

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained model."""

COMPOSITE_ALGORITHMIC_MEDIA = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC's term for media that a trained model made together with other media, such as a real image."""

DIGITAL_CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
"""IPTC's term for what a sensor took."""

ALGORITHMICALLY_ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""IPTC's term for a capture that an algorithm without training changed, such as a degraded copy."""


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption of the caption book.

    Attributes:
        text: The caption; it is also the prompt.
        label: Index in the recipe's label set.
        source: What it was made from: a template, a grammar, a model or a line of a file.
        geo: Geo-metadata of the imagined scene.
        image: Name of the image that belongs to the caption, for generators that start from one; empty for none.
    """

    text: str
    label: int
    source: str
    geo: GeoRecord = field(default_factory=GeoRecord)
    image: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One image that a generator shall make.

    Attributes:
        prompt: What to paint.
        label: Index in the recipe's label set.
        seed: Seed of this image alone, 0 to 2**63 - 1.
        geo: Geo-metadata, for generators that take it.
        image: Name of the image that a captions file pairs with the caption; empty for none.
        label_name: Name of the label in the recipe's label set.
        index: Number of the candidate in the whole build, for generators that take images in turn.
    """

    prompt: str
    label: int
    seed: int
    geo: GeoRecord
    image: str = ""
    label_name: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What shaped one image alone, beside prompt and seed: what a sample keeps of the image it was made from.

    Attributes:
        derived_from: sha256 of the bytes of the real image it was made from, empty if there is none.
        fields: Extra fields of the sample, name to encoded image; every sample of a build has the same names.
        parameters: What shaped this image alone, by name; merged into the record's `parameters`. A list of names
            under `unreadable` says which source images came before and cannot be used; the build counts them.
    """

    derived_from: str = ""
    fields: dict[str, bytes] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GeneratorIdentity:
    """What made an image, as far as it is the same for every image of a build.

    Attributes:
        model: Name, folder name or Hub id of the model.
        revision: Commit of the Hub, "embedded" or "local".
        sha256: Digest over the weight files.
        family: The kind of model, such as the pipeline's class.
        scheduler: Class of the scheduler.
        steps: Number of inference steps.
        guidance_scale: Strength of classifier-free guidance.
        negative_prompt: What every image was to avoid; empty for nothing.
        license: Licence of the weights as its card states it, "unknown" where it states none.
        parameters: What else shaped the image, by name.
        synthetic: Whether a model made the images; False for crops of real ones.
        real_sources: Whether the images that they are derived from are real; False for crops of a synthetic build.
    """

    model: str
    revision: str
    sha256: str
    family: str
    scheduler: str
    steps: int
    guidance_scale: float
    negative_prompt: str
    license: str
    parameters: dict[str, Any]
    synthetic: bool = True
    real_sources: bool = True


def sample_key(index: int) -> str:
    """Return the key of candidate `index`: digits only, because a key ends at its first dot."""
    return f"{index:09d}"


def degradation_seed(seed: int) -> int:
    """Return the seed of a sample's degradation: other draws than those of its image's noise."""
    digest = hashlib.blake2b(f"degradation/{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def sample_seed(recipe_seed: int, shard: int, index: int) -> int:
    """Return the seed of sample `index` of a shard: 63 bits of blake2b, so that it fits a signed integer."""
    digest = hashlib.blake2b(f"{recipe_seed}/{shard}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
