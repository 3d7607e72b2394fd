"""The samples of a packed shard against the manifest of its build, from a file or a stream that is read once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from PIL import Image as PillowImage

from synrs_data.errors import VerificationError
from synrs_data.recipe import is_number
from synrs_data.shards.schema import HR, LR, check_record, fields_of, image_fields
from synrs_data.shards.tar import ForwardReader, stream_members


@dataclass(slots=True)
class SampleCheck:
    """Checks the tars of one build, one after the other.

    Attributes:
        manifest: The build's manifest.
        keys: Keys of all samples so far: none may come back in another shard.
    """

    manifest: dict[str, Any]
    keys: set[str] = field(default_factory=set)

    def faults(self, name: str, source: ForwardReader, found: list[str]) -> Iterator[str]:
        """Yield what is wrong with the samples of a tar, one sentence a fault; reads it to its end.

        Args:
            name: Path of the tar in the build.
            source: Its bytes. One sample of them is in memory at a time.
            found: Takes the keys, in order.
        """
        manifest = self.manifest
        # Texts such as perceptual hashes are in the tables alone.
        scores = [column for column in manifest["scores"] if is_number(column)]
        expected = set(
            fields_of(manifest["task"], manifest["image_format"], manifest.get("extra_fields", []))
        )
        try:
            for key, fields in stream_members(source, where=name):
                where = f"{name}, sample {key}"
                if key in self.keys:
                    yield f"{where}: the key is in another shard too"
                self.keys.add(key)
                found.append(key)
                if fields.keys() != expected:
                    yield f"{where}: has the fields {', '.join(sorted(fields))}, not {', '.join(sorted(expected))}"
                else:
                    yield from (f"{where}: {fault}" for fault in _check_sample(key, fields, manifest, scores))
        except VerificationError as error:
            yield f"{name}: {error.what}"
        source.drain()
        count = manifest["files"][name].get("samples")
        if len(found) != count:
            yield f"{name}: has {len(found)} samples, not {count}"


def _check_sample(
    key: str, fields: dict[str, bytes], manifest: dict[str, Any], scores: list[str]
) -> Iterator[str]:
    try:
        record = json.loads(fields["json"])
    except (ValueError, RecursionError):
        yield "its json is damaged"
        return
    yield from check_record(record, manifest["task"], scores)
    if isinstance(record, dict):
        if record.get("key") != key:
            yield f"its json says the key is {record.get('key')!r}"
        if "txt" in fields and fields["txt"].decode(errors="replace") != record.get("caption"):
            yield "its txt is not the caption of its json"
        if "cls" in fields and fields["cls"] != str(record.get("label")).encode():
            yield "its cls is not the label of its json"
        label = record.get("label")
        if not isinstance(label, int) or not 0 <= label < len(manifest["labels"]):
            yield f"its label {label!r} is none of the {len(manifest['labels'])} labels"
    sizes = {}
    for name in (
        *image_fields(manifest["task"], manifest["image_format"]),
        *manifest.get("extra_fields", []),
    ):
        try:
            with PillowImage.open(io.BytesIO(fields[name])) as image:
                image.load()
                sizes[name] = image.size
        except Exception as error:  # noqa: BLE001 - each of Pillow's decoders raises errors of its own
            yield f"its {'image' if name == manifest['image_format'] else name} cannot be read: {error}"
    if isinstance(record, dict) and {LR, HR} <= sizes.keys():
        yield from _check_pair(record, sizes[LR], sizes[HR])


def _check_pair(record: dict[str, Any], low: tuple[int, int], high: tuple[int, int]) -> Iterator[str]:
    """Yield where the images of a pair have other sizes than their JSON says."""
    if low != (record.get("lr_width"), record.get("lr_height")):
        yield f"its {LR} is {low[0]} x {low[1]} pixels, not as its json says"
    if high != (record.get("width"), record.get("height")):
        yield f"its {HR} is {high[0]} x {high[1]} pixels, not as its json says"
