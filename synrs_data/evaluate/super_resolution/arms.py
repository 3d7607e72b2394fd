"""Arms of super-resolution: which pairs a network is trained on, as `evaluate.arms` names them.

Pairs have no classes: `real@16` is 16 pairs in all. A seed puts the pairs of each source in an order, by a hash of seed
and key, and arms take its head: so all arms of a seed have the same real pairs, and fewer are some of more. Nothing is
chosen by looking at images, so none are set apart to validate on: all arms have the same steps, and the last weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synrs_data.errors import UserError
from synrs_data.evaluate.arms import COPIES, Arm
from synrs_data.evaluate.super_resolution.pairs import PairSource
from synrs_data.evaluate.super_resolution.training import TrainingOptions, train

if TYPE_CHECKING:
    from synrs_data.evaluate.super_resolution.network import ResidualNetwork


@dataclass(frozen=True, slots=True)
class DrawnPairs:
    """The pairs of an arm and a seed.

    Attributes:
        real: Keys of the real ones.
        synthetic: Keys of the synthetic ones.
    """

    real: tuple[str, ...]
    synthetic: tuple[str, ...]


def draw_pairs(arm: Arm, seed: int, real: Sequence[str], synthetic: Sequence[str]) -> DrawnPairs:
    """Return the pairs of an arm.

    Args:
        arm: `real`, `synthetic`, `mixed` or `more-real`.
        seed: Another one draws others.
        real: Keys of all real pairs.
        synthetic: Keys of all synthetic pairs.

    Raises:
        UserError: There are too few pairs, or it is an arm of altered copies.
    """
    if arm.kind in COPIES:
        raise UserError(
            f"the arm '{arm.name}' adds altered copies, and training turns and flips every crop anyway",
            where="`--arms`",
            fix="take it out; `more-real` is the control of super-resolution",
        )
    if arm.kind == "synthetic":
        return DrawnPairs((), _head(arm, seed, synthetic, 0, arm.shots, "synthetic"))
    kept = _head(arm, seed, real, 0, arm.shots, "real")
    # Halves are rounded up, and something is always added.
    count = max(1, math.floor(arm.ratio * len(kept) + 0.5))
    if arm.kind == "mixed":
        return DrawnPairs(kept, _head(arm, seed, synthetic, 0, count, "synthetic"))
    if arm.kind == "more-real":
        return DrawnPairs(kept + _head(arm, seed, real, len(kept), count, "real"), ())
    return DrawnPairs(kept, ())


def train_arm(
    arm: Arm,
    seed: int,
    options: TrainingOptions,
    real: PairSource,
    synthetic: PairSource | None = None,
    *,
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> tuple[ResidualNetwork, DrawnPairs]:
    """Return a network trained on the pairs of an arm, and which they were.

    Args:
        arm: See `draw_pairs`.
        seed: Of the pairs, the first weights and the crops.
        options: How it is trained.
        real: Real pairs to train on, none of them a test pair.
        synthetic: Synthetic pairs of the same scale; needed by arms that name them.
        device: "cpu", "cuda", "cuda:1".
        report: See `train`.

    Raises:
        UserError: There are too few pairs, or they cannot be read or do not fit.
    """
    drawn = draw_pairs(arm, seed, real.keys, () if synthetic is None else synthetic.keys)
    pairs = [(pair.lr, pair.hr) for pair in real.read(drawn.real)]
    if synthetic is not None:
        pairs += [(pair.lr, pair.hr) for pair in synthetic.read(drawn.synthetic)]
    network = train(pairs, real.scale, options, seed=seed, device=device, report=report)
    return network, drawn


def _head(
    arm: Arm, seed: int, keys: Sequence[str], start: int, count: int | None, what: str
) -> tuple[str, ...]:
    """Return `count` keys of a seed's order from `start`; all for None."""
    if len(keys) < start + (1 if count is None else count):
        wanted = "some" if count is None else str(start + count)
        raise UserError(
            f"the arm '{arm.name}' needs {wanted} {what} pairs, and there are {len(keys)}",
            where="`--arms`",
            fix=f"give more {what} pairs, or take smaller arms",
        )
    ranked = sorted(keys, key=lambda key: (_rank(seed, key), key))
    return tuple(ranked[start:] if count is None else ranked[start : start + count])


def _rank(seed: int, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()
