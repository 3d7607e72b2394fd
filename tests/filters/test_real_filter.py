"""`real-filter`: equal to its formula by hand, and refused where labels have no real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synrs_data.errors import RecipeError, UserError
from synrs_data.filters.base import Batch
from synrs_data.filters.real_filter import RealFilter, RealFilterOptions
from synrs_data.vocabulary import Label, LabelSet
from tests.filters.stub import StubEncoder, stub_encoder
from tests.real_folder import paint, real_folder

LABELS = LabelSet(
    name="three",
    title="Three",
    source="this test",
    labels=tuple(Label(name=name, phrase=name.lower()) for name in ("Forest", "River", "Lake")),
)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> StubEncoder:
    return stub_encoder(monkeypatch)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return real_folder(tmp_path / "real", labels=LABELS.names, count=3)


def test_scores_are_cosines_with_the_mean_real_feature(encoder: StubEncoder, root: Path) -> None:
    images = [paint(seed) for seed in (1, 101, 7)]
    scored = RealFilter(RealFilterOptions(real=str(root)), LABELS).score(
        Batch(images=images, captions=["x"] * 3, labels=[0, 1, 2], device="cpu")
    )
    means = []
    for name in LABELS.names:
        real = [np.asarray(Image.open(path)) for path in sorted((root / name).iterdir())]
        mean = encoder.images(real).astype(float).mean(axis=0)
        means.append(mean / np.sqrt((mean * mean).sum()))
    for row, image in enumerate(images):
        cosines = [float(encoder.images([image])[0] @ mean) for mean in means]
        own = cosines.pop(row)
        assert scored["real_own"][row] == pytest.approx(own, abs=1e-5)
        assert scored["real_other"][row] == pytest.approx(max(cosines), abs=1e-5)
        assert scored["real_margin"][row] == pytest.approx(own - max(cosines), abs=1e-5)


def test_an_image_of_another_label_is_rejected_by_default(encoder: StubEncoder, root: Path) -> None:
    made = RealFilter(RealFilterOptions(real=str(root)), LABELS)
    least = made.thresholds()["real_margin"].min
    assert least == 0
    # Real images of "River" (seeds from 100), once under their own label and once under another.
    images = [paint(100), paint(100)]
    scored = made.score(Batch(images=images, captions=["x"] * 2, labels=[1, 0], device="cpu"))
    right, wrong = (float(value) for value in scored["real_margin"])
    assert wrong < 0 < right


def test_the_digest_counts_images_and_names_a_label_without_any(root: Path) -> None:
    made = RealFilter(RealFilterOptions(real=str(root)), LABELS)
    before = made.digest()
    Image.fromarray(paint(999)).save(root / "Lake/0.png")
    assert RealFilter(RealFilterOptions(real=str(root)), LABELS).digest() != before
    with pytest.raises(UserError, match="'Forest', fewer than the 9 shots"):
        RealFilter(RealFilterOptions(real=str(root), shots=9), LABELS).digest()


def test_one_label_has_nothing_to_compare_with(root: Path) -> None:
    alone = LABELS.model_copy(update={"labels": LABELS.labels[:1]})
    with pytest.raises(RecipeError, match="compares labels"):
        RealFilter(RealFilterOptions(real=str(root)), alone)
