"""Arms: how they are written, and that a seed draws them paired, balanced, apart from validation, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synrs_data.errors import UserError
from synrs_data.evaluate.arms import Draw, Pool, default_arms, draw, parse_arm, parse_arms, reference, sizes
from synrs_data.evaluate.image_set import ImageSet
from synrs_data.image_sources import SourceImage


def pool(count: int, *, apart: int = 0, name: str = "r") -> Pool:
    """Return `count` images of each of two classes, and `apart` further ones a class to validate on."""
    total = 2 * (count + apart)
    labels = np.arange(total, dtype=np.int64) % 2
    digests = tuple(f"{name}{row}" for row in range(total))
    image = SourceImage("x", Path("x"))
    images = ImageSet(digests, labels, digests, (image,) * total, "none")
    return Pool(images, ("a", "b"), 2 * count)


def drawn(text: str, seed: int = 0, *, real: Pool | None = None, synthetic: Pool | None = None) -> Draw:
    return draw(parse_arm(text), seed, real or pool(40), synthetic or pool(40, name="s"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("real", ("real", None, 0)),
        ("real@16", ("real", 16, 0)),
        ("synthetic@8", ("synthetic", 8, 0)),
        ("mixed@16x2", ("mixed", 16, 2)),
        ("mixedx0.5", ("mixed", None, 0.5)),
        ("more-real@4x2", ("more-real", 4, 2)),
        ("flip-crop@4x1.5", ("flip-crop", 4, 1.5)),
        ("cutoutx2", ("cutout", None, 2)),
        ("cutmix@1x8", ("cutmix", 1, 8)),
    ],
)
def test_an_arm_is_read(text: str, expected: tuple[Any, ...]) -> None:
    arm = parse_arm(text)
    assert (arm.kind, arm.shots, arm.ratio) == expected
    assert arm.name == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixd@16x2", "there is no arm 'mixd@16x2'"),
        ("", "there is no arm ''"),
        ("@16", "there is no arm '@16'"),
        ("mixed@16", "'mixed@16' is not written as mixed@16x2 or mixedx2"),
        ("mixed@16x0", "is not written as"),
        ("mixed@16x-1", "is not written as"),
        ("mixed@0x1", "is not written as"),
        ("realx2", "'realx2' is not written as real or real@16"),
        ("realx0", "is not written as"),
        ("real@", "is not written as"),
        ("real@1.5", "is not written as"),
        ("real@16x2x3", "is not written as"),
        ("synthetic@99999999", "is not written as"),
    ],
)
def test_what_is_no_arm_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_arm(text)


def test_lists_of_arms_are_checked() -> None:
    assert [arm.name for arm in parse_arms("real@4, mixed@4x1,")] == ["real@4", "mixed@4x1"]
    with pytest.raises(UserError, match="the arm 'real' comes twice"):
        parse_arms("real,mixedx1,real")
    with pytest.raises(UserError, match="there is no arm"):
        parse_arms(" , ")


def test_an_arm_is_compared_with_the_real_one_of_its_shots_or_with_the_only_one() -> None:
    def against(text: str, arms: str) -> str | None:
        found = reference(parse_arm(text), parse_arms(arms))
        return found.name if found else None

    assert against("mixed@16x2", "real@8,real@16,mixed@16x2") == "real@16"
    assert against("mixed@16x2", "real@8,mixed@16x2") == "real@8"
    assert against("mixed@16x2", "real@8,real@4,mixed@16x2") is None
    assert against("synthetic", "real@8,real,synthetic") == "real"
    assert against("real@8", "real@8,real") is None
    assert [arm.name for arm in default_arms(synthetic=True)] == [
        "real",
        "synthetic",
        "mixedx1",
        "flip-cropx1",
    ]
    assert [arm.name for arm in default_arms(synthetic=False)] == ["real"]


def test_arms_of_a_seed_share_their_real_images_and_those_to_validate_on() -> None:
    real = drawn("real@8")
    for text in ("mixed@8x2", "flip-crop@8x2", "more-real@8x2", "cutmix@8x2"):
        other = drawn(text)
        assert other.real[:16].tolist() == real.real.tolist()
        assert other.validation_real.tolist() == real.validation_real.tolist()
    assert drawn("real@8", seed=1).real.tolist() != real.real.tolist()
    assert drawn("real@8").real.tolist() == real.real.tolist()


def test_fewer_shots_are_some_of_more() -> None:
    assert set(drawn("real@4").real.tolist()) < set(drawn("real@8").real.tolist())


def test_neither_keys_nor_order_decide_what_is_drawn() -> None:
    first = pool(40)
    order = np.random.default_rng(0).permutation(80)
    second = Pool(first.images.take(order), first.names, first.apart)
    for text in ("real@8", "mixed@8x2", "real"):
        ours, theirs = drawn(text, real=first), drawn(text, real=second)
        assert ours.real.tolist() == order[theirs.real].tolist()


@pytest.mark.parametrize(
    ("text", "real", "copies", "synthetic", "validation"),
    [
        ("real@1", 2, 0, 0, 2),
        ("real@3", 6, 0, 0, 6),
        ("real@16", 32, 0, 0, 8),
        ("real", 72, 0, 0, 8),
        ("mixed@8x2", 16, 0, 32, 8),
        ("mixed@1x0.5", 2, 0, 2, 2),
        ("mixed@3x0.5", 6, 0, 4, 6),
        ("mixedx1", 72, 0, 72, 8),
        ("more-real@8x2", 48, 0, 0, 8),
        ("flip-crop@8x2", 16, 32, 0, 8),
        ("cutoutx2", 72, 144, 0, 8),
    ],
)
def test_counts_are_those_that_the_name_says_and_balanced(
    text: str, real: int, copies: int, synthetic: int, validation: int
) -> None:
    found = drawn(text)
    assert [len(found.real), len(found.copied), len(found.synthetic)] == [real, copies, synthetic]
    assert len(found.validation_real) == validation
    assert len(found.validation_synthetic) == 0
    for rows in (found.real, found.copied, found.synthetic, found.validation_real):
        assert len(set((rows % 2).tolist())) in (0, 2)
        assert np.sum(rows % 2 == 0) == np.sum(rows % 2 == 1)
    assert len(set(found.real.tolist())) == real
    assert set(found.copied.tolist()) <= set(found.real.tolist())
    assert set(found.real.tolist()).isdisjoint(found.validation_real.tolist())


def test_an_arm_of_synthetic_images_validates_on_held_out_synthetic_images() -> None:
    for text, count, held in (("synthetic@8", 16, 8), ("synthetic", 72, 8)):
        found = drawn(text)
        assert (len(found.real), len(found.validation_real)) == (0, 0)
        assert (len(found.synthetic), len(found.validation_synthetic)) == (count, held)
        assert set(found.synthetic.tolist()).isdisjoint(found.validation_synthetic.tolist())


def test_images_that_the_benchmark_sets_apart_are_what_is_validated_on() -> None:
    real = pool(8, apart=3)
    assert len(drawn("real", real=real).real) == 16
    assert drawn("real", real=real).validation_real.min() >= 16
    assert len(drawn("real", real=real).validation_real) == 6
    assert len(drawn("real@8", real=real).real) == 16
    assert len(drawn("real@2", real=real).validation_real) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "real@37",
            "the class 'a' has 40 real images, the arm 'real@37' needs 41: 37 to train on and 4 to validate",
        ),
        ("more-real@13x2", "has 40 real images, the arm 'more-real@13x2' needs 43"),
        ("synthetic@37", "has 40 synthetic images"),
        ("mixed@16x3", "has 40 synthetic images, the arm 'mixed@16x3' needs 48"),
        ("more-realx1", "has no further real images: it takes all"),
    ],
)
def test_too_few_images_are_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        drawn(text)


def test_one_image_a_class_cannot_be_trained_and_validated_on() -> None:
    with pytest.raises(UserError, match="has 1 real images, the arm 'real' needs 2"):
        drawn("real", real=pool(1))
    with pytest.raises(UserError, match="the class 'a' has 0 real images"):
        drawn("real@1", real=pool(0))


@pytest.mark.parametrize("apart", [0, 3])
@pytest.mark.parametrize(
    "name",
    [
        "real",
        "real@4",
        "mixedx0.5",
        "mixed@3x1.5",
        "more-real@2x2",
        "flip-crop@3x0.5",
        "cutmixx1",
        "synthetic@3",
        "synthetic",
    ],
)
def test_the_sizes_of_an_arm_are_those_of_its_draws(name: str, apart: int) -> None:
    own = drawn(name, 1, real=pool(13, apart=apart))
    found = sizes(parse_arm(name), [13, 13], [apart, apart])
    held = len(own.validation_real) + len(own.validation_synthetic)
    assert (found.real, found.copies) == (len(own.real), len(own.copied))
    assert found.synthetic == (None if name == "synthetic" else len(own.synthetic))
    assert found.validation == (None if name == "synthetic" else held)


@pytest.mark.parametrize("text", ["real@16,real@016", "mixed@2x1,mixed@2x1.0"])
def test_an_arm_in_two_spellings_comes_twice(text: str) -> None:
    with pytest.raises(UserError, match="comes twice"):
        parse_arms(text)
