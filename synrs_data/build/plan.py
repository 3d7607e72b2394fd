"""Plan a build: what each shard holds, and what all of it is a function of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from synrs_data import files
from synrs_data.build.protocol import calling, check_captions, check_extra_fields
from synrs_data.build.sources import check_sources
from synrs_data.errors import CaptionError, VerificationError
from synrs_data.filters.base import Filter
from synrs_data.fingerprint import generation_fingerprint, selection_fingerprint
from synrs_data.generators.base import ConditionedGenerator
from synrs_data.geo import GeoRecord
from synrs_data.recipe import Recipe, method_options
from synrs_data.recipe_file import score_columns
from synrs_data.registry import lookup
from synrs_data.sample import Caption, Request, sample_seed
from synrs_data.vocabulary import LabelSet, label_set_path, load_label_set

CAPTION_FILE = "captions, file"
"""What the digest of a file that captions are made from is called, before its number."""

REBUILD = "run `synrs-data build` with its recipe on this folder again: it writes the file anew"


@dataclass(frozen=True)
class BuildPlan:
    """A recipe with the things it names, ready to run.

    Attributes:
        recipe: A completed recipe.
        captions: The caption book.
        digests: sha256 of the contents behind the recipe's paths.
    """

    recipe: Recipe
    captions: list[Caption]
    digests: dict[str, str]

    @cached_property
    def labels(self) -> LabelSet:
        """The label set."""
        return load_label_set(self.recipe.labels)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the generation part."""
        return generation_fingerprint(self.recipe, self.digests)

    @cached_property
    def selection_fingerprint(self) -> str:
        """Fingerprint of the selection part."""
        return selection_fingerprint(self.recipe)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Name and meaning of every score column."""
        return score_columns(self.recipe.filters, self.labels)

    @cached_property
    def starts_from_images(self) -> bool:
        """Whether samples name what they are derived from."""
        return isinstance(make("generators", self.recipe.generator), ConditionedGenerator)

    @cached_property
    def extra_fields(self) -> tuple[str, ...]:
        """Fields of a sample beside the usual ones, for generators that start from other images."""
        method = self.recipe.generator.method
        with calling("generators", method):
            return check_extra_fields(make("generators", self.recipe.generator), method)

    @property
    def shards(self) -> int:
        """Number of generated shards."""
        return -(-self.recipe.candidates // self.recipe.shard_size)

    def indices(self, shard: int) -> range:
        """Return the candidates of a shard."""
        start = shard * self.recipe.shard_size
        return range(start, min(start + self.recipe.shard_size, self.recipe.candidates))

    def request(self, index: int) -> tuple[Caption, Request]:
        """Return the caption and the request of candidate `index`."""
        caption = self.captions[index % len(self.captions)]
        shard, position = divmod(index, self.recipe.shard_size)
        seed = sample_seed(self.recipe.seed, shard, position)
        return caption, Request(
            prompt=caption.text,
            label=caption.label,
            seed=seed,
            geo=caption.geo,
            image=caption.image,
            label_name=self.labels.names[caption.label],
            index=index,
        )

    def batches(self, shard: int, size: int) -> Iterator[range]:
        """Yield the batches of a shard: fixed by the plan, because the batch is the unit of noise."""
        indices = self.indices(shard)
        for start in range(indices.start, indices.stop, size):
            yield range(start, min(start + size, indices.stop))


def digests_of(recipe: Recipe, captions: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the sha256 of all contents that decide the candidates and lie outside the recipe.

    Args:
        recipe: A completed recipe.
        captions: Those of the files that captions are made from, if the caption book is at hand and they need not be;
            None reads the files.

    Raises:
        SynrsError: One of them is missing, or a real image to start from belongs to an evaluation.
    """
    labels = load_label_set(recipe.labels)
    found = {"labels": files.sha256(label_set_path(recipe.labels))}
    found |= _caption_digests(recipe) if captions is None else captions
    with calling("generators", recipe.generator.method):
        generator = make("generators", recipe.generator)
        found["generator"] = str(generator.digest())
        check_sources(generator, labels.names)
    if recipe.degradation is not None:
        with calling("degradations", recipe.degradation.method):
            if digest := make("degradations", recipe.degradation).digest():
                found["degradation"] = str(digest)
    for spec, scorer in zip(recipe.filters, make_filters(recipe, labels), strict=True):
        with calling("filters", spec.method):
            if digest := scorer.digest():
                found[f"filter: {spec.method}"] = str(digest)
    return found


def _caption_digests(recipe: Recipe) -> dict[str, str]:
    with calling("captions", recipe.captions.method):
        inputs = enumerate(make("captions", recipe.captions).inputs(), start=1)
        return {f"{CAPTION_FILE} {number}": files.sha256(path) for number, path in inputs}


def write_captions(recipe: Recipe) -> list[Caption]:
    """Return the caption book that the recipe's strategy writes."""
    labels = load_label_set(recipe.labels)
    method = recipe.captions.method
    with calling("captions", method):
        written = make("captions", recipe.captions).write(labels, seed=recipe.seed)
    book = check_captions(written, len(labels.labels), method)
    if not book:
        raise CaptionError("the caption strategy gave no captions", where="captions", fix="check its options")
    return book


def make(kind: Any, spec: Any) -> Any:
    """Return the instance of a method that a recipe names."""
    with calling(kind, spec.method):
        return lookup(kind, spec.method)(method_options(kind, spec))


def make_filters(recipe: Recipe, labels: LabelSet) -> list[Filter]:
    """Return the recipe's filters."""
    return [
        lookup("filters", spec.method)(method_options("filters", spec), labels) for spec in recipe.filters
    ]


def save_captions(path: Path, captions: list[Caption]) -> None:
    """Write the caption book, one JSON object a line."""
    rows = [asdict(caption) for caption in captions]
    for row in rows:
        # Only captions that have an image say so.
        if not row["image"]:
            del row["image"]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    files.write_text(path, "".join(lines))


def read_captions(path: Path) -> list[Caption]:
    """Read a caption book.

    Raises:
        VerificationError: It is damaged.
    """
    try:
        # Not `splitlines`: a caption may hold other characters that end a line, such as U+2028.
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [Caption(**{**row, "geo": GeoRecord(**row["geo"])}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError("is damaged", where=str(path), fix=REBUILD) from error
