"""The build folder: where each file of a build lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """Paths of a build.

    ```
    root/recipe.yaml                resolved recipe
         build.json                 what the candidates are a function of: fingerprint and digests
         captions.jsonl             the caption book
         candidates/00000.tar, .parquet, .done.json, .failed.json
         data/<split>-00000.tar     packed shards
         metadata/<split>-00000.parquet
         rejects.parquet            candidates that are not packed, and why
         manifest.json              every final file: written last
         README.md  samples.jpg  croissant.json  report.html  events.jsonl
    ```
    """

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def state(self) -> Path:
        """What the candidates are a function of."""
        return self.root / "build.json"

    @property
    def captions(self) -> Path:
        """The caption book, one JSON object a line."""
        return self.root / "captions.jsonl"

    @property
    def candidates(self) -> Path:
        """Folder of generated shards."""
        return self.root / "candidates"

    @property
    def data(self) -> Path:
        """Folder of packed shards."""
        return self.root / "data"

    @property
    def metadata(self) -> Path:
        """Folder of the tables of packed samples."""
        return self.root / "metadata"

    @property
    def rejects(self) -> Path:
        """Table of candidates that are not packed."""
        return self.root / "rejects.parquet"

    @property
    def manifest(self) -> Path:
        """List of all final files."""
        return self.root / "manifest.json"

    @property
    def card(self) -> Path:
        """Dataset card."""
        return self.root / "README.md"

    @property
    def samples(self) -> Path:
        """Picture of some samples, which the dataset card shows."""
        return self.root / "samples.jpg"

    @property
    def croissant(self) -> Path:
        """Croissant description, JSON-LD."""
        return self.root / "croissant.json"

    @property
    def report(self) -> Path:
        """HTML report."""
        return self.root / "report.html"

    @property
    def pages(self) -> tuple[Path, ...]:
        """What is made of the rest for people and for other programs; every finished build has all of them."""
        return (self.card, self.samples, self.croissant, self.report)

    @property
    def events(self) -> Path:
        """Event stream."""
        return self.root / "events.jsonl"

    def candidate_tar(self, shard: int) -> Path:
        """Images and texts of a generated shard."""
        return self.candidates / f"{shard:05d}.tar"

    def candidate_table(self, shard: int) -> Path:
        """Provenance and scores of a generated shard."""
        return self.candidates / f"{shard:05d}.parquet"

    def done(self, shard: int) -> Path:
        """Marker of a finished shard."""
        return self.candidates / f"{shard:05d}.done.json"

    def failed(self, shard: int) -> Path:
        """Marker of a shard in quarantine."""
        return self.candidates / f"{shard:05d}.failed.json"
