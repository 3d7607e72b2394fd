"""Captions for EuroSAT: words of the label, words measured in the image, and words that mean nothing here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from _eurosat import LABELS, REPO
from torch import Tensor

from synrs_data.captions.language_enhancement import LanguageEnhancement, LanguageEnhancementOptions
from synrs_data.vocabulary import load_label_set

VOCABULARY = REPO / "builders" / "vocab" / "appearance.yaml"
LUMA = np.array([0.299, 0.587, 0.114])

#: Other ways to say a label; a user's recipe need not know our canonical words.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "AnnualCrop": ("annual crop", "annual cropland", "AnnualCrop", "crop fields"),
    "Forest": ("dense forest", "trees", "woodland", "Forest"),
    "HerbaceousVegetation": ("HerbaceousVegetation", "herbaceous plants", "shrubs and herbaceous vegetation"),
    "Highway": ("highway or road", "a highway", "Highway", "road"),
    "Industrial": ("industrial area", "Industrial", "industrial zone", "factories and warehouses"),
    "Pasture": ("pasture land", "Pasture", "grassland pasture", "meadow"),
    "PermanentCrop": ("permanent crop", "PermanentCrop", "orchards and vineyards", "permanent cropland"),
    "Residential": ("residential area", "Residential", "houses", "residential neighbourhood"),
    "River": ("a river", "River", "river bank", "waterway"),
    "SeaLake": ("sea", "lake", "SeaLake", "open water", "water body"),
}
TEMPLATES = (
    "a centered satellite photo of {label}.",
    "a satellite image of {label}",
    "a satellite photo of {label}",
    "Sentinel-2 image of {label}",
    "an aerial view of {label}",
    "an overhead view of {label}",
    "a remote sensing image of {label}",
    "satellite imagery showing {label}",
    "a photo of {label}, seen from above",
    "{label}",
)
FILLERS = (
    "in spring", "in summer", "in autumn", "in winter", "10 m resolution", "Sentinel-2", "aerial view",
    "overhead", "clear sky", "high quality", "true colour", "top-down", "Europe", "without clouds", "sharp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Appearance:
    """Words measured in one image."""

    brightness: str
    colour: str
    texture: str


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and the measured words that it says (empty where it says nothing)."""

    text: str
    said: Appearance


class Vocabulary:
    """The lists and definitions of `builders/vocab/appearance.yaml`."""

    def __init__(self, path: Path = VOCABULARY) -> None:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.brightness: list[str] = table["brightness"]
        self.colour: list[str] = table["colour"]
        self.texture: list[str] = table["texture"]
        self._edges = {part: table["measure"][part]["edges"] for part in ("brightness", "texture")}
        self._prototypes = np.array([table["measure"]["colour"]["prototypes"][word] for word in self.colour])

    def measure(self, image: Tensor) -> Appearance:
        """Words of one uint8 image (3, height, width)."""
        pixels = image.permute(1, 2, 0).reshape(-1, 3).numpy().astype(np.float64)
        luma = pixels @ LUMA
        mean = pixels.mean(0)
        chromaticity = mean / max(float(mean.sum()), 1e-6)
        nearest = int(np.argmin(((self._prototypes - chromaticity) ** 2).sum(1)))
        return Appearance(
            brightness=self.brightness[
                int(np.searchsorted(self._edges["brightness"], luma.mean(), side="right"))
            ],
            colour=self.colour[nearest],
            texture=self.texture[int(np.searchsorted(self._edges["texture"], luma.std(), side="right"))],
        )


def _coin(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


@cache
def sentences(label: str, count: int = 600) -> list[str]:
    """Sentences of the shipped grammar about a label that say nothing of the measured words.

    A build writes its captions with this grammar; training with it teaches which of its words mean nothing here.
    """
    table = yaml.safe_load(VOCABULARY.read_text(encoding="utf-8"))
    measured = [word for part in ("brightness", "colour", "texture") for word in table[part]]
    book = LanguageEnhancement(LanguageEnhancementOptions(sentences_per_label=count)).write(
        load_label_set("eurosat"), seed=0
    )
    index = load_label_set("eurosat").names.index(label)
    texts = [entry.text for entry in book if entry.label == index]
    return [text for text in texts if not any(re.search(rf"\b{word}\b", text) for word in measured)]


def caption(label: str, look: Appearance, rng: np.random.Generator) -> Caption:
    """One random caption: the label always, each measured word and filler with some probability."""
    if _coin(rng, 0.3):
        text = str(rng.choice(sentences(label)))
    else:
        words = LABELS[label] if _coin(rng, 0.75) else str(rng.choice(SYNONYMS[label]))
        text = str(rng.choice(TEMPLATES)).format(label=words)
    said = Appearance(
        look.brightness if _coin(rng, 0.5) else "",
        look.colour if _coin(rng, 0.5) else "",
        look.texture if _coin(rng, 0.4) else "",
    )
    parts = [word for word in (said.brightness, said.colour, said.texture) if word]
    if not parts and not _coin(rng, 0.2):
        return Caption(text, said)
    parts += [str(filler) for filler in rng.choice(FILLERS, int(rng.integers(0, 3)), replace=False)]
    rng.shuffle(parts)
    return Caption(", ".join([text.removesuffix("."), *parts]) + "." * _coin(rng, 0.3), said)


def corpus(vocabulary: Vocabulary, size: int = 20_000, seed: int = 0) -> list[str]:
    """Random captions over all words: what the tokenizer's merges are learned from."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(size):
        words = (vocabulary.brightness, vocabulary.colour, vocabulary.texture)
        look = Appearance(*(str(rng.choice(part)) for part in words))
        texts.append(caption(str(rng.choice(list(LABELS))), look, rng).text)
    return texts
