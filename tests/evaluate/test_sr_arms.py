"""Arms of super-resolution: paired by seed, nested, of the right sizes, and refused where pairs are too few."""

from __future__ import annotations

from pathlib import Path

import pytest

from synrs_data.errors import UserError
from synrs_data.evaluate.arms import parse_arm
from synrs_data.evaluate.super_resolution.arms import DrawnPairs, draw_pairs, train_arm
from synrs_data.evaluate.super_resolution.degraded_pairs import DegradedImages
from synrs_data.evaluate.super_resolution.training import TrainingOptions, train
from tests.evaluate.sr_images import scene, write_images

REAL = [f"real/{number}" for number in range(12)]
SYNTHETIC = [f"synthetic/{number}" for number in range(12)]


def drawn(arm: str, seed: int = 0) -> DrawnPairs:
    return draw_pairs(parse_arm(arm), seed, REAL, SYNTHETIC)


def test_arms_of_a_seed_share_their_real_pairs_and_fewer_are_some_of_more() -> None:
    base = drawn("real@4")
    assert (len(base.real), base.synthetic) == (4, ())
    assert drawn("real@2").real == base.real[:2]
    assert set(drawn("real").real) == set(REAL)
    mixed = drawn("mixed@4x2")
    assert mixed.real == base.real
    assert len(set(mixed.synthetic) & set(SYNTHETIC)) == 8
    more = drawn("more-real@4x2")
    assert more.real[:4] == base.real
    assert len(set(more.real)) == 12
    assert more.synthetic == ()
    assert drawn("synthetic@3") == DrawnPairs((), mixed.synthetic[:3])


def test_a_seed_and_not_the_order_of_files_decides() -> None:
    arm = parse_arm("mixed@3x1")
    assert draw_pairs(arm, 5, REAL[::-1], SYNTHETIC[::-1]) == draw_pairs(arm, 5, REAL, SYNTHETIC)
    assert len({draw_pairs(arm, seed, REAL, SYNTHETIC) for seed in range(5)}) == 5


def test_halves_are_rounded_up_and_something_is_added() -> None:
    assert len(drawn("mixed@3x0.5").synthetic) == 2
    assert len(drawn("mixed@1x0.1").synthetic) == 1


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("real@13", "needs 13 real pairs, and there are 12"),
        ("mixed@8x2", "needs 16 synthetic pairs, and there are 12"),
        ("more-real@8x1", "needs 16 real pairs, and there are 12"),
        ("flip-crop@4x1", "adds altered copies, and training turns and flips every crop anyway"),
    ],
)
def test_an_arm_that_cannot_be_drawn_is_refused(arm: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        drawn(arm)
    with pytest.raises(UserError, match="needs some synthetic pairs, and there are 0"):
        draw_pairs(parse_arm("synthetic"), 0, REAL, [])


def test_an_arm_is_trained_on_the_pairs_that_it_names(tmp_path: Path) -> None:
    sources = []
    for number, name in enumerate(("real", "synthetic")):
        images = {f"{index}.png": scene(10 * number + index, 32) for index in range(3)}
        folder = write_images(tmp_path / name, images)
        sources.append(DegradedImages(str(folder), {"method": "bicubic", "scale": 2}))
    options = TrainingOptions(steps=2, batch=2, crop=8, channels=4, blocks=1)
    network, pairs = train_arm(parse_arm("mixed@2x0.5"), 3, options, sources[0], sources[1])
    assert (len(pairs.real), len(pairs.synthetic)) == (2, 1)
    read = [*sources[0].read(pairs.real), *sources[1].read(pairs.synthetic)]
    again = train([(pair.lr, pair.hr) for pair in read], 2, options, seed=3)
    assert network.digest() == again.digest()
    alone, _ = train_arm(parse_arm("real@2"), 3, options, sources[0])
    assert alone.digest() != network.digest()
