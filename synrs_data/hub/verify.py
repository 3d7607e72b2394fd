"""Check every byte and sample of published builds from streams: nothing is written to the disk."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any

import yaml

from synrs_data.errors import VerificationError
from synrs_data.hub.dataset import RemoteDataset, named_config, read_build, under
from synrs_data.shards.manifest import (
    MANIFEST,
    REJECTS,
    check_numbers,
    check_rejects,
    check_table,
    manifest_text,
    table_of,
)
from synrs_data.shards.samples import SampleCheck
from synrs_data.shards.tar import ForwardReader
from synrs_data.vocabulary import NOT_YAML

_CARD = "README.md"
_GENERATED = ("data/", "metadata/")
_FRONT_MATTER = re.compile(r"---\s*\n(.*?)\n---", re.DOTALL)


class PublishedCheck:
    """Checks the builds of a dataset, one after the other.

    Args:
        dataset: The dataset; a path in its address is the one config that is checked.

    Attributes:
        files: How many files were as promised or not.
        samples: How many samples the manifests promise.
        configs: Names of the configs.

    Raises:
        UserError: There is no such config.
        VerificationError: There is no build.
    """

    def __init__(self, dataset: RemoteDataset) -> None:
        self._dataset = dataset
        self.files = self.samples = 0
        self.configs = [named_config(dataset)] if dataset.address.path else dataset.folders()
        if not self.configs:
            read_build(dataset, "")

    def faults(self) -> Iterator[str]:
        """Yield every fault, one sentence each; nothing if every byte is as promised.

        Checks of each config the manifest against its own digest and counts, each listed file's size and sha256,
        that none is missing and no shard or table is extra, each tar's samples, and each table against its tar;
        then the numbers of the dataset's card against the manifests.

        Raises:
            UserError: The Hub does not give a file.
        """
        manifests: dict[str, dict[str, Any]] = {}
        for config in self.configs:
            path = under(config, MANIFEST)
            if path not in self._dataset.files:
                yield f"{path}: is missing: no finished build was published here"
                continue
            try:
                manifest, text = read_build(self._dataset, config)
            except VerificationError as error:
                yield f"{path}: {error.what}"
                continue
            manifests[config] = manifest
            self.samples += sum(counts.get("samples", 0) for counts in manifest["splits"].values())
            prefix = under(config, "")
            for fault in self._config_faults(config, manifest, text):
                yield f"{prefix}{fault}"
        yield from _card_faults(self._dataset, manifests)

    def _config_faults(self, config: str, manifest: dict[str, Any], text: bytes) -> Iterator[str]:
        if text != manifest_text(manifest).encode():
            yield f"{MANIFEST}: its contents have changed (its digest differs)"
        yield from check_numbers(manifest)
        check = SampleCheck(manifest)
        listed = manifest["files"]
        tables = {table_of(name) for name in listed if name.endswith(".tar")}
        for name in listed:
            if name.endswith(".tar"):
                yield from self._shard_faults(config, name, check)
            elif name not in tables:
                content, faults = self._whole(config, name, listed[name], keep=name == REJECTS)
                yield from faults
                if name == REJECTS and content is not None:
                    yield from check_rejects(io.BytesIO(content), manifest)
        prefix = under(config, "")
        for path in sorted(self._dataset.files):
            name = path.removeprefix(prefix)
            if path.startswith(prefix) and name.startswith(_GENERATED) and name not in listed:
                yield f"{name}: is not in the manifest"

    def _shard_faults(self, config: str, name: str, check: SampleCheck) -> Iterator[str]:
        """Yield what is wrong with a tar and the table beside it."""
        listed = check.manifest["files"]
        found: list[str] = []
        self.files += 1
        if (path := under(config, name)) in self._dataset.files:
            source = ForwardReader(self._dataset.open(path))
            yield from check.faults(name, source, found)
            yield from _byte_faults(name, listed[name], source.size, source.sha256)
        else:
            yield f"{name}: is missing"
        table = table_of(name)
        if table not in listed:
            yield f"{table}: is not in the manifest"
            return
        content, faults = self._whole(config, table, listed[table], keep=True)
        yield from faults
        if content is not None and path in self._dataset.files:
            yield from check_table(io.BytesIO(content), table, name, found)

    def _whole(
        self, config: str, name: str, entry: dict[str, Any], *, keep: bool
    ) -> tuple[bytes | None, list[str]]:
        """Return the contents of a file, if they are to be kept, and what is wrong with its bytes."""
        self.files += 1
        path = under(config, name)
        if path not in self._dataset.files:
            return None, [f"{name}: is missing"]
        size, digest, kept = 0, hashlib.sha256(), []
        for chunk in iter(self._dataset.open(path).read, b""):
            size += len(chunk)
            digest.update(chunk)
            if keep:
                kept.append(chunk)
        return b"".join(kept) if keep else None, list(_byte_faults(name, entry, size, digest.hexdigest()))


def _byte_faults(name: str, entry: dict[str, Any], size: int, sha256: str) -> Iterator[str]:
    if size != entry["bytes"]:
        yield f"{name}: has {size} bytes, not {entry['bytes']}"
    elif sha256 != entry["sha256"]:
        yield f"{name}: its contents have changed (sha256 differs)"


def _card_faults(dataset: RemoteDataset, manifests: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield where the dataset's card promises `load_dataset` another number of samples than there are."""
    if _CARD not in dataset.files:
        yield f"{_CARD}: is missing at the root: `load_dataset` would guess types and configs"
        return
    try:
        promised = _promised(dataset.read(_CARD).decode())
    except (*NOT_YAML, ValueError, TypeError, KeyError, AttributeError):
        yield f"{_CARD}: its front matter cannot be read"
        return
    for config, manifest in manifests.items():
        # A build at the root has its own card there, whose config is "default".
        found = promised.pop(config or "default", None)
        actual = {split: counts.get("samples") for split, counts in manifest["splits"].items()}
        if found is None:
            yield f"{_CARD}: its dataset_info does not tell of {config or 'default'}"
        elif found != actual:
            yield f"{_CARD}: {config or 'default'} has the splits {found} there and {actual} in its manifest"
    if not dataset.address.path:
        for config in sorted(promised.keys() - set(dataset.folders())):
            yield f"{_CARD}: tells of {config}, which has no {MANIFEST}"


def _promised(text: str) -> dict[str, dict[str, int]]:
    """Return the number of samples by config and split, as a card's front matter promises it."""
    match = _FRONT_MATTER.match(text)
    values = yaml.safe_load(match[1]) if match else {}
    infos = values.get("dataset_info", [])
    return {
        info["config_name"]: {split["name"]: split["num_examples"] for split in info["splits"]}
        for info in (infos if isinstance(infos, list) else [infos])
    }
