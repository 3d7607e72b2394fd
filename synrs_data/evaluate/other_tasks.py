"""Benchmarks of the tasks that are not classification: image-text retrieval and super-resolution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from synrs_data.evaluate.parts import Direction, Part, Sha256

RetrievalMetricName = Literal[
    "i2t-r@1",
    "i2t-r@5",
    "i2t-r@10",
    "t2i-r@1",
    "t2i-r@5",
    "t2i-r@10",
    "mean-recall",
    "i2t-r@1:dedup-caption",
    "i2t-r@5:dedup-caption",
    "i2t-r@10:dedup-caption",
    "t2i-r@1:dedup-caption",
    "t2i-r@5:dedup-caption",
    "t2i-r@10:dedup-caption",
    "mean-recall:dedup-caption",
]
"""Recall at k from images to texts and from texts to images, and the mean of the six.

Without an ending only an image's own captions are right; by `dedup-caption` equal captions are one candidate, and right
for every image that has one.
"""


class CaptionedImages(Part):
    """Images with captions in one file.

    The file is JSON as Karpathy's splits, `images[].{filename, split, sentences[].raw}`, or JSON lines of
    `{file, split, captions}`.

    Attributes:
        kind: Tells this from other data sets.
        name: The data set; a baseline trained on it is in-domain.
        path: Where images and captions lie if `--data` does not say it.
        captions: The file, from the folder that `--data` names; case does not matter.
        split: Value of `split` that is the test.
        images: Number of its images, None if not known.
        sentences: Number of its captions, None if not known.
        content_sha256: `captioned_digest` of its images and captions; None means "not pinned", and the result then
            says what was found.
        get: What to do where something is missing, as an instruction.
    """

    kind: Literal["captions"]
    name: str = Field(min_length=1)
    path: str | None = None
    captions: str = Field(min_length=1)
    split: str = Field("test", min_length=1)
    images: int | None = Field(None, ge=1)
    sentences: int | None = Field(None, ge=1)
    content_sha256: Sha256 | None = None
    get: str = Field(min_length=1)


class RetrievalMetric(Part):
    """A number of retrieval, in 0 to 1; what chance gives follows from the captions."""

    name: RetrievalMetricName
    direction: Literal["higher"]


class ImagePairs(Part):
    """Pairs of a low- and a high-resolution image.

    Attributes:
        kind: "pairs", LR and HR in two folders in the same order; "high-resolution", HR alone, brought down by
            `degradation`; "build", a finished lr-hr build of ours.
        name: The data set; a baseline trained on it is in-domain.
        path: Where they lie if `--data` does not say it.
        lr: Folder of LR within it; empty but for pairs.
        hr: Folder of HR within it; empty for the whole of it.
        items: Table of name and split, from the benchmark's folder; None for all images.
        items_sha256: Digest of the table.
        split: Value of its column `split` that is the test.
        degradation: Method that makes LR from HR; None for pairs.
        content_sha256: Digest of the names and bytes of the images; None means "not pinned".
        get: What to do where something is missing, as an instruction.
    """

    kind: Literal["pairs", "high-resolution", "build"]
    name: str = Field(min_length=1)
    path: str | None = None
    lr: str = ""
    hr: str = ""
    items: str | None = None
    items_sha256: Sha256 | None = None
    split: str | None = None
    degradation: str | None = None
    content_sha256: Sha256 | None = None
    get: str = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> ImagePairs:
        if (self.kind == "high-resolution") != (self.degradation is not None):
            raise ValueError("`degradation` is what makes LR of `kind: high-resolution`, and of no other")
        table = (self.items, self.items_sha256, self.split)
        if any(value is None for value in table) and any(value is not None for value in table):
            raise ValueError("give `items`, `items_sha256` and `split`, or none of them")
        return self


class ImageMetric(Part):
    """A number of super-resolution; its id says its whole configuration, such as "psnr-y@crop4"."""

    name: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9@+_.:=-]*$")
    direction: Direction
