"""Training from scratch: what it learns, that it repeats itself, and its budget of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synrs_data.errors import RecipeError
from synrs_data.evaluate.protocols import Samples, from_scratch, make_protocol
from synrs_data.evaluate.protocols.from_scratch import FromScratch, FromScratchOptions
from synrs_data.evaluate.protocols.scores import accuracy

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CLASSES = 2
QUICK = "steps=20,batch=16"


def stripes(count: int, seed: int, *, shift: int = 0, side: int = 16, synthetic: int = 0) -> Samples:
    """Return images with stripes across or down, of random phase and colour, the last ones generated."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    waves = np.sin(np.arange(side) * 1.6 + rng.uniform(0, 6, (count, 1)))[:, :, None, None]
    pixels = 128 + 60 * np.broadcast_to(waves, (count, side, side, 3)) * rng.uniform(0.4, 1, (count, 1, 1, 3))
    turned = np.where((labels == 1)[:, None, None, None], pixels.transpose(0, 2, 1, 3), pixels)
    noisy = turned + rng.normal(scale=10, size=turned.shape)
    return Samples(
        noisy.clip(0, 255).astype(np.uint8), (labels + shift) % CLASSES, np.arange(count) >= count - synthetic
    )


NOTHING = stripes(0, 0)
TEST = stripes(100, 9)


def score(
    options: str, train: Samples, validation: Samples = NOTHING, test: Samples = TEST, seed: int = 0
) -> NDArray[np.float32]:
    protocol = make_protocol(f"from-scratch:{options}", "cpu")
    return protocol.fit_predict(train, validation, test.inputs, CLASSES, text=None, seed=seed)


def right(scores: NDArray[np.float32]) -> float:
    return accuracy(scores, TEST.labels)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_small_network_learns_stripes_from_a_few_images(optimizer: str) -> None:
    found = score(f"{QUICK},optimizer={optimizer}", stripes(16, 1))
    assert right(found) > 0.95
    assert np.allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("augmentation", ["cutout", "cutmix", "cutout+cutmix"])
def test_it_learns_from_augmented_images_too(augmentation: str) -> None:
    plain = score(QUICK, stripes(16, 1))
    found = score(f"{QUICK},augmentation={augmentation},cutmix_probability=1", stripes(16, 1))
    assert right(found) > 0.9
    assert not np.array_equal(found, plain)


def test_turned_images_make_stripes_across_and_down_the_same() -> None:
    assert right(score(f"{QUICK},augmentation=flip-crop", stripes(16, 1))) < 0.8


def test_one_image_a_class_is_enough_to_train_on() -> None:
    train = stripes(2, 1)
    found = score(QUICK, train, test=train)
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert np.exp(found).max(axis=1).min() > 0.6


def test_images_of_one_colour_give_finite_scores() -> None:
    train = stripes(4, 1)
    flat = Samples(np.full_like(train.inputs, 77), train.labels, train.synthetic)
    assert np.isfinite(score(QUICK, flat)).all()


def test_the_same_data_and_seed_give_the_same_scores_and_torch_draws_as_if_nothing_had_been() -> None:
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    options = f"{QUICK},augmentation=flip-crop+cutout+cutmix"
    first = score(options, stripes(16, 1), stripes(4, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(12)
    assert np.array_equal(first, score(options, stripes(16, 1), stripes(4, 2)))
    assert not np.array_equal(first, score(options, stripes(16, 1), stripes(4, 2), seed=1))


@pytest.mark.parametrize("count", [2, 40])
def test_an_arm_of_any_size_gets_the_same_number_of_full_batches(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    real = FromScratch._augmented

    def counted(self: FromScratch, images: Any, random: np.random.Generator) -> object:
        sizes.append(len(images))
        return real(self, images, random)

    monkeypatch.setattr(FromScratch, "_augmented", counted)
    score("steps=7,batch=16", stripes(count, 1))
    assert sizes == [16] * 7


def test_the_checkpoint_is_chosen_on_validation_and_without_it_the_last_one_is_taken() -> None:
    train, validation = stripes(32, 1, shift=1), stripes(32, 2)
    options = "steps=30,batch=16,checkpoints=30"
    assert right(score(options, train)) < 0.1
    assert right(score(options, train, validation)) > 0.25
    assert right(score(options, train, stripes(32, 2, shift=1))) < 0.1


def test_batches_have_the_share_of_real_images_that_is_asked_and_are_pooled_by_default() -> None:
    train = stripes(60, 1, synthetic=50)

    def shares(**options: float) -> list[int]:
        protocol = FromScratch(FromScratchOptions(batch=16, **options), "cpu")
        batches = protocol._batches(train, np.random.default_rng(0))
        found = [next(batches) for _ in range(30)]
        assert {len(batch) for batch in found} == {16}
        return [int((~train.synthetic[batch]).sum()) for batch in found]

    assert set(shares(real_share=0.25)) == {4}
    assert set(shares(real_share=0.001)) == {1}
    assert set(shares(real_share=0.999)) == {15}
    pooled = shares()
    assert len(set(pooled)) > 1
    assert sum(pooled) == 30 * 16 / 60 * 10


def test_a_share_of_real_images_changes_nothing_where_there_is_one_kind() -> None:
    train = stripes(16, 1)
    assert np.array_equal(score(f"{QUICK},real_share=0.5", train), score(QUICK, train))


def test_the_learning_rate_rises_and_falls_with_the_steps() -> None:
    protocol = FromScratch(FromScratchOptions(steps=20, warmup=0.2), "cpu")
    rates = [protocol._rate(step) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert FromScratch(FromScratchOptions(warmup=0), "cpu")._rate(0) == 1.0


def test_channels_are_standardised_by_the_training_images() -> None:
    train = stripes(10, 1)
    found = from_scratch._Standard(train.inputs, "cpu")(
        torch.from_numpy(train.inputs.transpose(0, 3, 1, 2).copy())
    )
    assert found.mean(dim=(0, 2, 3)).numpy() == pytest.approx(np.zeros(3), abs=1e-5)
    assert found.std(dim=(0, 2, 3), correction=0).numpy() == pytest.approx(np.ones(3), abs=1e-5)


def test_images_are_resized_if_asked() -> None:
    protocol = FromScratch(FromScratchOptions(size=8), "cpu")
    flat = np.full((3, 20, 10, 3), 200, dtype=np.uint8)
    found = protocol._pixels(flat)
    assert found.shape == (3, 3, 8, 8)
    assert (found == 200).all()
    assert right(score(f"{QUICK},size=24", stripes(16, 1))) > 0.9


@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
def test_a_network_of_timm_is_trained_by_its_name(network: str) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    options = f"steps=2,batch=4,network={network},size=32"
    found = score(options, stripes(8, 1))
    assert np.isfinite(found).all()
    assert np.array_equal(found, score(options, stripes(8, 1)))


@pytest.mark.parametrize(
    ("network", "message"),
    [("resnet19", "unknown network 'resnet19'"), ("test_vit", "does not take images of 24 x 24")],
)
def test_a_network_that_is_not_there_or_does_not_fit_is_one_message(network: str, message: str) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    with pytest.raises(RecipeError, match=message):
        score(f"steps=1,batch=4,network={network},size=24", stripes(4, 1))
