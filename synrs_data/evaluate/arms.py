"""Arms: what a classifier is trained on, as a user writes it and as a seed draws it.

| arm | trains on |
|---|---|
| `real`, `real@16` | all real images, or 16 a class |
| `synthetic`, `synthetic@32` | all synthetic images, or 32 a class, and no real one |
| `mixed@16x2`, `mixedx2` | the same real images and twice as many synthetic ones |
| `more-real@16x2` | control: the same real images and twice as many further real ones |
| `flip-crop@16x2`, `cutout@16x2`, `cutmix@16x2` | control: the same real images and twice as many altered copies |

A seed puts the images of each class in an order, by a hash of seed, class name and contents. Real images are taken from
its head and, where the benchmark sets none apart, those to validate on from its tail: so all arms of a seed have the
same real images, and fewer shots are some of more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synrs_data.errors import UserError
from synrs_data.evaluate.image_set import ImageSet
from synrs_data.resources import suggestion

Kind = Literal["real", "synthetic", "mixed", "more-real", "flip-crop", "cutout", "cutmix"]

COPIES: tuple[Kind, ...] = ("flip-crop", "cutout", "cutmix")
"""Controls that add altered copies of the real images."""

_ARM = re.compile(
    r"(?P<kind>[a-z-]*[a-z])??(?:@(?P<shots>\d{1,7}))?(?:x(?P<ratio>\d{1,4}(?:\.\d{1,4})?))?", re.A
)
_VALIDATION_SHOTS = 4
"""Images a class to validate on with few shots are min(shots, 4): Zhou et al., CoOp, IJCV 2022, and its code."""
_VALIDATION_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Arm:
    """What to train on.

    Attributes:
        name: As the user wrote it.
        kind: See the head of this module.
        shots: Real images a class, of `synthetic` synthetic ones; None for all.
        ratio: Added images for a real one; 0 for `real` and `synthetic`.
    """

    name: str
    kind: Kind
    shots: int | None
    ratio: float

    @property
    def needs_synthetic(self) -> bool:
        """Whether it trains on synthetic images."""
        return self.kind in ("synthetic", "mixed")


@dataclass(frozen=True, slots=True)
class Draw:
    """The images of an arm and a seed, as rows of image sets.

    Attributes:
        real: Of the real images: those that all arms of these shots share, then further ones.
        copied: Rows of the real images to make altered copies of, as often as they come.
        synthetic: Of the synthetic images.
        validation_real: Of the real images.
        validation_synthetic: Of the synthetic images.
    """

    real: NDArray[np.int64]
    copied: NDArray[np.int64]
    synthetic: NDArray[np.int64]
    validation_real: NDArray[np.int64]
    validation_synthetic: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many images an arm has, whatever the seed; None where that depends on the synthetic set."""

    real: int
    copies: int
    synthetic: int | None
    validation: int | None


@dataclass(frozen=True, slots=True)
class Pool:
    """Images to draw from.

    Attributes:
        images: All of them.
        names: Class names by label.
        apart: First row that the benchmark sets apart to validate on; the number of images if it sets none.
    """

    images: ImageSet
    names: Sequence[str]
    apart: int

    def ranked(self, seed: int, *, validation: bool = False) -> list[list[int]]:
        """Return the rows of each class in the order of a seed; with `validation` those that are set apart."""
        rows: list[list[int]] = [[] for _ in self.names]
        for row in range(self.apart, len(self.images)) if validation else range(self.apart):
            rows[int(self.images.labels[row])].append(row)
        return [
            sorted(own, key=lambda row: _rank(seed, name, self.images.digests[row]))
            for name, own in zip(self.names, rows, strict=True)
        ]


def parse_arm(text: str) -> Arm:
    """Return the arm that a user wrote.

    Raises:
        UserError: It is none.
    """
    match = _ARM.fullmatch(text)
    kinds: tuple[Kind, ...] = get_args(Kind)
    begun = next((each for each in kinds if text.startswith(each)), text)
    kind = (match["kind"] or "") if match else begun
    found = next((each for each in kinds if each == kind), None)
    if found is None:
        raise UserError(f"there is no arm '{text}'", fix=suggestion(kind, list(kinds), what="arm"))
    ratio = float(match["ratio"]) if match and match["ratio"] else 0.0
    shots = int(match["shots"]) if match and match["shots"] else None
    alone = kind in ("real", "synthetic")
    if match is None or shots == 0 or (ratio > 0) == alone or (alone and match["ratio"]):
        example = f"{kind} or {kind}@16" if alone else f"{kind}@16x2 or {kind}x2"
        raise UserError(f"the arm '{text}' is not written as {example}", fix=f"write it as {example}")
    return Arm(text, found, shots, ratio)


def parse_arms(text: str) -> tuple[Arm, ...]:
    """Return the arms of a list with commas.

    Raises:
        UserError: One is none, or comes twice, or there is none.
    """
    arms = tuple(parse_arm(part.strip()) for part in text.split(",") if part.strip())
    if not arms:
        raise UserError(
            "there is no arm", where="`--arms`", fix="give some, such as `--arms real@8,mixed@8x2`"
        )
    same = [(arm.kind, arm.shots, arm.ratio) for arm in arms]
    if repeated := next((arm.name for n, arm in enumerate(arms) if same[n] in same[:n]), None):
        raise UserError(f"the arm '{repeated}' comes twice", where="`--arms`", fix="name it once")
    return arms


def default_arms(*, synthetic: bool) -> tuple[Arm, ...]:
    """Return the arms of a run that names none: with synthetic images also the control of equally many copies."""
    names = ("real", "synthetic", "mixedx1", "flip-cropx1") if synthetic else ("real",)
    return tuple(parse_arm(name) for name in names)


def reference(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """Return the real arm that another one is compared with: that of the same shots, or the only one."""
    if arm.kind == "real":
        return None
    real = [each for each in arms if each.kind == "real"]
    return next((each for each in real if each.shots == arm.shots), real[0] if len(real) == 1 else None)


def sizes(arm: Arm, train: Sequence[int], apart: Sequence[int]) -> Sizes:
    """Return how many images `draw` gives an arm.

    Args:
        arm: The arm.
        train: Real images of each class to train on.
        apart: Those of each class that the benchmark sets apart to validate on, zeros if it sets none.
    """
    if arm.kind == "synthetic":
        if arm.shots is None:
            return Sizes(0, 0, None, None)
        taken, held = _parts(0, arm.shots, 0, apart=False)
        return Sizes(0, 0, taken * len(train), held * len(train))
    further = _added(arm, arm.shots) if arm.kind == "more-real" and arm.shots else 0
    parts = [_parts(count, arm.shots, further, apart=any(apart)) for count in train]
    added = sum(_added(arm, taken) for taken, _ in parts)
    checked = zip(apart, parts, strict=True) if any(apart) else ()
    set_apart = sum(own if arm.shots is None else min(own, held) for own, (_, held) in checked)
    return Sizes(
        real=sum(taken for taken, _ in parts),
        copies=added if arm.kind in COPIES else 0,
        synthetic=added if arm.kind == "mixed" else 0,
        validation=set_apart or sum(held for _, held in parts),
    )


def draw(arm: Arm, seed: int, real: Pool, synthetic: Pool | None) -> Draw:
    """Return the images of an arm and a seed.

    Raises:
        UserError: A class has too few images.
    """
    if arm.kind == "synthetic":
        return _synthetic_alone(arm, seed, synthetic)
    if arm.kind == "more-real" and arm.shots is None:
        raise UserError(
            f"the arm '{arm.name}' has no further real images: it takes all",
            fix="give it shots, as in more-real@16x2",
        )
    further = _added(arm, arm.shots) if arm.kind == "more-real" and arm.shots else 0
    apart = real.ranked(seed, validation=True) if real.apart < len(real.images) else None
    kept, more, held = [], [], []
    for number, (rows, name) in enumerate(zip(real.ranked(seed), real.names, strict=True)):
        own = None if apart is None else apart[number]
        taken, validation = _split(rows, arm.shots, further, own, name, "real", arm)
        kept.append(taken[: len(taken) - further])
        more.append(taken[len(taken) - further :])
        held.append(validation)
    copied = [_repeat(own, _added(arm, len(own))) for own in kept] if arm.kind in COPIES else []
    added = _mixed(arm, seed, kept, synthetic) if arm.kind == "mixed" else []
    return Draw(_rows([*kept, *more]), _rows(copied), _rows(added), _rows(held), _rows([]))


def _synthetic_alone(arm: Arm, seed: int, synthetic: Pool | None) -> Draw:
    assert synthetic is not None
    taken, held = [], []
    for rows, name in zip(synthetic.ranked(seed), synthetic.names, strict=True):
        own, validation = _split(rows, arm.shots, 0, None, name, "synthetic", arm)
        taken.append(own)
        held.append(validation)
    return Draw(_rows([]), _rows([]), _rows(taken), _rows([]), _rows(held))


def _mixed(arm: Arm, seed: int, kept: list[list[int]], synthetic: Pool | None) -> list[list[int]]:
    """Return the synthetic rows of each class that join its real ones."""
    assert synthetic is not None
    return [
        _head(rows, _added(arm, len(own)), name, arm)
        for rows, own, name in zip(synthetic.ranked(seed), kept, synthetic.names, strict=True)
    ]


def _split(
    rows: list[int],
    shots: int | None,
    further: int,
    apart: list[int] | None,
    name: str,
    what: str,
    arm: Arm,
) -> tuple[list[int], list[int]]:
    """Return the rows of a class to train on, and those to validate on."""
    taken, held = _parts(len(rows), shots, further, apart=apart is not None)
    need = held + 1 if shots is None else taken + (0 if apart is not None else held)
    if len(rows) < need or (apart is not None and not apart):
        parts = (
            f"{taken} to train on and {held} to validate on"
            if shots
            else "one to train and one to validate on"
        )
        raise UserError(
            f"the class '{name}' has {len(rows)} {what} images, the arm '{arm.name}' needs {need}: {parts}",
            fix="name fewer shots, or give more images",
        )
    if apart is not None:
        return rows[:taken], apart if shots is None else apart[:held]
    return rows[:taken], rows[len(rows) - held :]


def _parts(count: int, shots: int | None, further: int, *, apart: bool) -> tuple[int, int]:
    """Return how many of a class's images are to train on and, of those or of others set apart, to validate on."""
    if shots is None:
        held = 0 if apart else max(1, round(_VALIDATION_SHARE * count))
        return count - held, held
    return shots + further, min(shots, _VALIDATION_SHOTS)


def _added(arm: Arm, real: int) -> int:
    """Return how many images a class gets beside some real ones: at least one, halves rounded up."""
    return max(1, int(arm.ratio * real + 0.5)) if arm.ratio else 0


def _repeat(rows: list[int], count: int) -> list[int]:
    return [rows[number % len(rows)] for number in range(count)]


def _head(rows: list[int], count: int, name: str, arm: Arm) -> list[int]:
    if len(rows) < count:
        raise UserError(
            f"the class '{name}' has {len(rows)} synthetic images, the arm '{arm.name}' needs {count}",
            fix="name fewer shots or a smaller ratio, or build more synthetic images",
        )
    return rows[:count]


def _rows(parts: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    return np.array([row for part in parts for row in part], dtype=np.int64)


def _rank(seed: int, name: str, sha256: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}/{sha256}".encode(), digest_size=8).digest()
