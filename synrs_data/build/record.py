"""From an image to the fields of a sample: provenance record and encoded bytes that say "synthetic"."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from synrs_data import __version__
from synrs_data.degradations.base import Parameters
from synrs_data.recipe import ImageFormat, Recipe
from synrs_data.sample import (
    ALGORITHMICALLY_ENHANCED,
    COMPOSITE_ALGORITHMIC_MEDIA,
    DIGITAL_CAPTURE,
    TRAINED_ALGORITHMIC_MEDIA,
    Caption,
    GeneratorIdentity,
    Inputs,
    Request,
    sample_key,
)
from synrs_data.shards.schema import HR, LR

SOFTWARE = f"synrs-data {__version__}"

_EXIF_DESCRIPTION, _EXIF_SOFTWARE = 0x010E, 0x0131
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" rdf:about="">'
    "<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>"
    "<xmp:CreatorTool>{software}; {model}</xmp:CreatorTool>"
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What makes a pair of an image.

    Attributes:
        lr: The low-resolution image.
        scale: How many pixels of the other one its pixel covers along a side.
        parameters: What the degradation drew.
    """

    lr: NDArray[np.uint8]
    scale: int
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is the same for every sample of a shard.

    Attributes:
        recipe: The recipe.
        fingerprint: Fingerprint of its generation part.
        label_names: Names of the labels by index.
        identity: What makes the images.
    """

    recipe: Recipe
    fingerprint: str
    label_names: list[str]
    identity: GeneratorIdentity

    def record(
        self,
        index: int,
        caption: Caption,
        request: Request,
        image: NDArray[np.uint8],
        scores: dict[str, float],
        inputs: Inputs,
        pair: Pair | None = None,
    ) -> dict[str, Any]:
        """Return the JSON record of a sample: the keys and types of `shards.schema.record_of`."""
        shard, position = divmod(index, self.recipe.shard_size)
        identity = self.identity
        record: dict[str, Any] = {
            "key": sample_key(index),
            "task": self.recipe.task,
            "label": caption.label,
            "label_name": self.label_names[caption.label],
            "caption": caption.text,
            "caption_source": caption.source,
            "prompt": request.prompt,
            "negative_prompt": identity.negative_prompt,
            "seed": request.seed,
            "shard": shard,
            "index": position,
            "generator": self.recipe.generator.method,
            "model": identity.model,
            "model_revision": identity.revision,
            "model_sha256": identity.sha256,
            "model_license": identity.license,
            "pipeline": identity.family,
            "scheduler": identity.scheduler,
            "steps": identity.steps,
            "guidance_scale": identity.guidance_scale,
            "parameters": json.dumps(identity.parameters | inputs.parameters, sort_keys=True),
            "geo": caption.geo.to_json(),
            "derived_from": inputs.derived_from,
            "width": image.shape[1],
            "height": image.shape[0],
            "license": self.recipe.license,
            "synthetic": identity.synthetic,
            "digital_source_type": _source_type(identity, inputs),
            "recipe": self.recipe.name,
            "recipe_fingerprint": self.fingerprint,
            "software": SOFTWARE,
        }
        if pair is not None:
            assert self.recipe.degradation is not None
            record |= {
                "scale": pair.scale,
                "lr_width": pair.lr.shape[1],
                "lr_height": pair.lr.shape[0],
                "degradation": self.recipe.degradation.method,
                "degradation_parameters": json.dumps(dict(pair.parameters), sort_keys=True),
            }
        return record | ({"scores": scores} if scores else {})

    def fields(
        self, record: dict[str, Any], image: NDArray[np.uint8], inputs: Inputs, pair: Pair | None = None
    ) -> dict[str, bytes]:
        """Return the contents of a sample by field."""
        style = self.recipe.image
        text = json.dumps(record, ensure_ascii=False).encode()
        if pair is not None:
            return inputs.fields | {
                HR: encode(image, style, record),
                LR: encode(pair.lr, style, _as_degraded(record)),
                "json": text,
            }
        return inputs.fields | {
            style.format: encode(image, style, record),
            "txt": record["caption"].encode(),
            "cls": str(record["label"]).encode(),
            "json": text,
        }


def _source_type(identity: GeneratorIdentity, inputs: Inputs) -> str:
    """Return IPTC's term for an image; of a pair, for the high-resolution one."""
    if not identity.synthetic:
        return DIGITAL_CAPTURE
    composite = inputs.derived_from and identity.real_sources
    return COMPOSITE_ALGORITHMIC_MEDIA if composite else TRAINED_ALGORITHMIC_MEDIA


def _as_degraded(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record as it stands for the metadata of the low-resolution image."""
    real = record["digital_source_type"] == DIGITAL_CAPTURE
    return record | ({"digital_source_type": ALGORITHMICALLY_ENHANCED} if real else {})


def _description(record: dict[str, Any]) -> str:
    """Return what an image's own metadata say of it in words."""
    source = f" (sha256 {record['derived_from']})" if record["derived_from"] else ""
    if record["digital_source_type"] == ALGORITHMICALLY_ENHANCED:
        return f"Real image{source}, degraded by {record['degradation']} by {record['scale']}."
    if not record["synthetic"]:
        return f"Part of a real image{source}."
    kind = "a real" if record["digital_source_type"] == COMPOSITE_ALGORITHMIC_MEDIA else "another synthetic"
    origin = f" made from {kind} one{source}" if source else ""
    return f"Synthetic image{origin}, not an observation. Prompt: {record['prompt']}"


def encode(image: NDArray[np.uint8], style: ImageFormat, record: dict[str, Any]) -> bytes:
    """Encode an RGB image with metadata that says whether it is synthetic, by what model and from which prompt.

    EXIF ImageDescription and Software, and IPTC's DigitalSourceType in XMP (jpg, webp); text chunks and XMP
    in png. EXIF texts are ASCII, so other characters are in the XMP alone.
    """
    text = _description(record)
    tool = f"{SOFTWARE}; {record['model']}@{record['model_revision']}"
    xmp = _XMP.format(
        source=record["digital_source_type"],
        software=SOFTWARE,
        model=escape(record["model"]),
        text=escape(text),
    ).encode()
    picture = PillowImage.fromarray(image)
    out = io.BytesIO()
    if style.format == "png":
        chunks = PngInfo()
        chunks.add_itxt("Description", text)
        chunks.add_text("Software", tool.encode("ascii", "replace").decode())
        chunks.add_text("Source", record["digital_source_type"])
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(out, "PNG", pnginfo=chunks)
        return out.getvalue()
    exif = PillowImage.Exif()
    exif[_EXIF_DESCRIPTION] = text.encode("ascii", "replace").decode()
    exif[_EXIF_SOFTWARE] = tool.encode("ascii", "replace").decode()
    if style.format == "jpg":
        # 4:4:4: colour at full resolution is what a classifier of 10 m pixels has left.
        picture.save(out, "JPEG", quality=style.quality, subsampling=0, exif=exif, xmp=xmp)
    else:
        picture.save(out, "WEBP", quality=style.quality, lossless=style.quality == 100, exif=exif, xmp=xmp)
    return out.getvalue()
