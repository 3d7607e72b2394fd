"""`clip-agreement` and `clip-score`: equal to what their formulas give by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from synrs_data.errors import WeightsError
from synrs_data.filters.base import Batch, EncoderOptions
from synrs_data.filters.clip_agreement import ClipAgreement, ClipAgreementOptions
from synrs_data.filters.clip_score import ClipScore
from synrs_data.recipe import Threshold
from synrs_data.resources import embedded_models
from synrs_data.vocabulary import Label, LabelSet, load_label_set, load_template_set
from tests.filters.stub import StubEncoder, stub_encoder
from tests.filters.test_perceptual_hash import scene

LABELS = LabelSet(
    name="three",
    title="Three",
    source="this test",
    labels=tuple(Label(name=name, phrase=name.lower()) for name in ("Forest", "River", "Lake")),
)
needs_encoder = pytest.mark.skipif(
    "eurosat-tiny-clip" not in embedded_models(), reason="no embedded encoder here"
)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> StubEncoder:
    return stub_encoder(monkeypatch)


def batch(labels: Sequence[int], captions: Sequence[str] | None = None) -> Batch:
    images = [scene(seed) for seed in range(len(labels))]
    return Batch(images=images, captions=captions or ["x"] * len(labels), labels=labels, device="cpu")


def by_hand(encoder: StubEncoder, image: NDArray[np.uint8], scale: float) -> list[float]:
    """Return the softmax over the classes, written out with plain numbers."""
    templates = load_template_set("rs-basic")
    own = [float(value) for value in encoder.images([image])[0]]
    logits = []
    for label in LABELS.labels:
        prompts = [encoder.texts([text])[0] for text in templates.fill(label)]
        mean = [sum(float(prompt[i]) for prompt in prompts) / len(prompts) for i in range(len(own))]
        length = math.sqrt(sum(value * value for value in mean))
        logits.append(scale * sum(a * b / length for a, b in zip(own, mean, strict=True)))
    odds = [math.exp(logit) for logit in logits]
    return [odd / sum(odds) for odd in odds]


@pytest.mark.parametrize("scale", [None, 3.0, 100.0])
def test_agreement_is_the_softmax_over_averaged_prompts(encoder: StubEncoder, scale: float | None) -> None:
    # Each image with each label: one of the three is the most probable.
    images = [scene(place // 3) for place in range(12)]
    labels = [place % 3 for place in range(12)]
    own = Batch(images=images, captions=["x"] * 12, labels=labels, device="cpu")
    found = ClipAgreement(ClipAgreementOptions(logit_scale=scale), LABELS).score(own)
    for place, label in enumerate(labels):
        chances = by_hand(encoder, images[place], scale or encoder.logit_scale)
        assert found["clip_agreement_p"][place] == pytest.approx(chances[label], rel=1e-4)
        assert found["clip_agreement_top"][place] == float(max(chances) == chances[label])
    assert sum(float(value) for value in found["clip_agreement_top"]) == 4


def test_the_chances_of_all_labels_add_up_to_one(encoder: StubEncoder) -> None:
    same = [scene(1)] * 3
    images = Batch(images=same, captions=["x"] * 3, labels=[0, 1, 2], device="cpu")
    found = ClipAgreement(ClipAgreementOptions(), LABELS).score(images)["clip_agreement_p"]
    assert sum(float(value) for value in found) == pytest.approx(1)


def test_a_large_scale_overflows_nothing(encoder: StubEncoder) -> None:
    found = ClipAgreement(ClipAgreementOptions(logit_scale=1e6), LABELS).score(batch([0, 1, 2]))
    assert np.isfinite([float(value) for value in found["clip_agreement_p"]]).all()


def test_the_default_threshold_is_one_over_the_number_of_labels() -> None:
    assert ClipAgreement(ClipAgreementOptions(), LABELS).thresholds() == {
        "clip_agreement_p": Threshold(min=1 / 3)
    }


@pytest.mark.parametrize(
    "options", [{"logit_scale": 0}, {"logit_scale": float("nan")}, {"scale": 1}], ids=str
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClipAgreementOptions(**options)


def test_score_is_the_cosine_of_image_and_caption(encoder: StubEncoder) -> None:
    captions = ["a forest", "a river by a town"]
    found = ClipScore(EncoderOptions(), LABELS).score(batch([0, 1], captions))
    for place, caption in enumerate(captions):
        image, text = encoder.images([scene(place)])[0], encoder.texts([caption])[0]
        expected = sum(float(a) * float(b) for a, b in zip(image, text, strict=True))
        assert found["clip_score"][place] == pytest.approx(expected, abs=1e-6)


def test_filters_that_share_an_encoder_encode_a_batch_once(encoder: StubEncoder) -> None:
    images = batch([0, 1, 2])
    ClipAgreement(ClipAgreementOptions(), LABELS).score(images)
    ClipScore(EncoderOptions(), LABELS).score(images)
    assert encoder.batches == [3]
    ClipScore(EncoderOptions(), LABELS).score(batch([0, 1, 2]))
    assert encoder.batches == [3, 3]


def test_columns_are_what_is_scored(encoder: StubEncoder) -> None:
    for scorer in (ClipAgreement(ClipAgreementOptions(), LABELS), ClipScore(EncoderOptions(), LABELS)):
        assert list(scorer.columns) == list(scorer.score(batch([0])))


def test_a_missing_encoder_is_told_before_anything_is_generated() -> None:
    for scorer in (
        ClipAgreement(ClipAgreementOptions(model="no-such-encoder"), LABELS),
        ClipScore(EncoderOptions(model="no-such-encoder"), LABELS),
    ):
        with pytest.raises(WeightsError, match="no-such-encoder"):
            scorer.digest()


@needs_encoder
def test_the_digest_changes_with_the_templates_and_not_with_the_scale() -> None:
    base = ClipAgreement(ClipAgreementOptions(), LABELS).digest()
    assert ClipAgreement(ClipAgreementOptions(logit_scale=5), LABELS).digest() == base
    others = {name for name in ("rs-basic", "simple", "openai") if name != "rs-basic"}
    from synrs_data.resources import named_files

    for name in others & named_files("builders/vocab/templates").keys():
        assert ClipAgreement(ClipAgreementOptions(templates=name), LABELS).digest() != base


@needs_encoder
def test_the_embedded_encoder_scores_a_batch() -> None:
    labels = load_label_set("eurosat")
    images = batch([0, 1, 2, 9], ["a forest", "a river", "a lake", "a highway"])
    agreement = ClipAgreement(ClipAgreementOptions(), labels).score(images)
    score = ClipScore(EncoderOptions(), labels).score(images)["clip_score"]
    assert all(0 <= float(value) <= 1 for value in agreement["clip_agreement_p"])
    assert all(-1 <= float(value) <= 1 for value in score)
    assert len(set(score)) == 4
