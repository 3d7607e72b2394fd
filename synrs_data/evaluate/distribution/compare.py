"""Compare a synthetic set with real ones: every measure, its floor, and what lies nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synrs_data.errors import UserError
from synrs_data.evaluate.distribution.clip_score import caption_agreement
from synrs_data.evaluate.distribution.extractors import Extractor
from synrs_data.evaluate.distribution.frechet import frechet_cautions, frechet_halves, frechet_spread
from synrs_data.evaluate.distribution.kernels import (
    SIGMA,
    SUBSET_SIZE,
    cmmd_spread,
    kernel_distance,
    kernel_spread,
)
from synrs_data.evaluate.distribution.leaks import BITS, Leaks, find_leaks
from synrs_data.evaluate.distribution.memorisation import (
    TrainingNeighbours,
    nearest_to_training,
    own_distances,
    training_neighbours,
)
from synrs_data.evaluate.distribution.neighbours import DENSITY_NEAREST, MANIFOLD_NEAREST, shares
from synrs_data.evaluate.distribution.records import (
    CaptionRecord,
    LeakRecord,
    Measure,
    NearnessRecord,
    Pair,
)
from synrs_data.evaluate.distribution.samples import HALVES, Features
from synrs_data.evaluate.distribution.sets import FeatureSet
from synrs_data.evaluate.statistics import mean_interval

LEAST = 8
"""Sets of fewer images are refused: neighbours need six, and with so few no number says anything."""


@dataclass(frozen=True, slots=True)
class Sets:
    """What is compared.

    Attributes:
        synthetic: The synthetic images.
        real: The real ones that they shall be like.
        train: What their generator was trained on, if known.
        test: Real images that nothing was made from, for floors and leaks.
    """

    synthetic: FeatureSet
    real: FeatureSet
    train: FeatureSet | None = None
    test: FeatureSet | None = None

    @property
    def all(self) -> tuple[FeatureSet, ...]:
        """Those that there are."""
        found = (self.synthetic, self.real, self.train, self.test)
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest training image of each image of a set.

    Attributes:
        images: The set.
        training: The training images.
        found: Which they are, and how near.
    """

    images: FeatureSet
    training: FeatureSet
    found: TrainingNeighbours


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    Attributes:
        measures: Distances and shares.
        captions: Agreement with captions.
        nearness: Memorisation.
        leaks: Copies of test images.
        left_out: What was not measured, and why.
        neighbours: Of synthetic images.
        floor: Of held-out real images.
        copies: Which synthetic images are near which test images; None without test images.
    """

    measures: tuple[Measure, ...]
    captions: CaptionRecord | None
    nearness: NearnessRecord | None
    leaks: tuple[LeakRecord, ...]
    left_out: tuple[str, ...]
    neighbours: Neighbours
    floor: Neighbours | None
    copies: Leaks | None


def compare(sets: Sets, extractor: Extractor | None, *, seed: int) -> Comparison:
    """Measure a synthetic set against real ones.

    All measures of distributions are of the same number of images of each set, that of the smallest of synthetic, real
    and test, because they depend on it. Nearest neighbours, captions and leaks are of all images.

    Args:
        sets: What to compare.
        extractor: For captions; None where features were saved.
        seed: Of every draw.

    Raises:
        UserError: A set is too small, or two are of different extractors.
    """
    _check(sets)
    name, test = sets.synthetic.extractor.id, sets.test
    count = min(len(each.features) for each in (sets.synthetic, sets.real, test) if each is not None)
    real = sets.real.drawn(count, seed=seed)
    measures = _measures("synthetic-real", name, sets.synthetic.drawn(count, seed=seed), real, seed)
    if test is not None:
        measures += _measures("test-real", name, test.drawn(count, seed=seed), real, seed)
    left_out = [] if test is not None else ["leaks, and floors of distances: there are no test images"]
    neighbours, floor, nearness = _nearness(sets, name, seed)
    if nearness is None:
        left_out.append("the floor of nearest neighbours: give held-out real images as test or train images")
    captions, why = _captions(sets.synthetic, extractor, seed)
    left_out += [why] if why else []
    copies, leaks, why = _leaks(sets)
    left_out += [why] if why else []
    return Comparison(tuple(measures), captions, nearness, leaks, tuple(left_out), neighbours, floor, copies)


def _check(sets: Sets) -> None:
    first = sets.synthetic
    for each in sets.all:
        if len(each.features) < LEAST:
            raise UserError(
                f"has {len(each.features)} images, too few for any of the measures",
                where=each.record.location,
                fix=f"give at least {LEAST}, better thousands",
            )
        ours, theirs = first.extractor, each.extractor
        if (ours.id, ours.sha256, ours.preprocessing) != (theirs.id, theirs.sha256, theirs.preprocessing):
            raise UserError(
                f"has features of '{theirs.id}' ({theirs.sha256[:12]}), the synthetic ones are of "
                f"'{ours.id}' ({ours.sha256[:12]})",
                where=each.record.location,
                fix="take all features from one extractor with one way of resizing",
            )
    known: dict[str, FeatureSet] = {}
    for each in sets.all[1:]:
        if (other := known.setdefault(each.record.sha256, each)) is not each:
            raise UserError(
                f"the {each.record.role} images are the {other.record.role} images, so there is no floor",
                where=each.record.location,
                fix=f"give other images, or leave `--{each.record.role}` out",
            )


def _measures(pair: Pair, extractor: str, ours: Features, real: Features, seed: int) -> list[Measure]:
    """Return every measure of one pair of samples of the same size."""
    n = len(ours)

    def measure(name: str, value: float, **rest: object) -> Measure:
        fields = {"better": "lower", **rest}
        return Measure.model_validate(
            {"name": f"{name}@{extractor}", "pair": pair, "value": value, "n": n, **fields}
        )

    frechet = frechet_spread(ours, real, seed=seed)
    whole = kernel_spread(ours, real, seed=seed)
    subsets = kernel_distance(ours, real, seed=seed)
    gaussian = cmmd_spread(ours, real, seed=seed)
    smaller = (f"subsets of {subsets.size} images, not {SUBSET_SIZE}",) if subsets.size < SUBSET_SIZE else ()
    # Subsets that are the whole samples do not differ.
    spread = {"deviation": subsets.deviation} if subsets.size < n else {}
    found = [
        measure(
            "frechet-distance",
            frechet.value,
            standard_error=frechet.standard_error,
            settings={"halves": frechet_halves(ours.shape[1])},
            cautions=frechet_cautions(n, len(real), ours.shape[1]),
        ),
        measure(
            "kernel-distance",
            whole.value,
            standard_error=whole.standard_error,
            settings={"kernel": "(x.y/width+1)^3", "estimate": "unbiased", "halves": HALVES},
        ),
        measure(
            "kernel-distance-subsets",
            subsets.mean,
            settings={
                "kernel": "(x.y/width+1)^3",
                "estimate": "unbiased",
                "subsets": subsets.subsets,
                "size": subsets.size,
                **spread,
            },
            cautions=smaller,
        ),
        measure(
            "cmmd",
            gaussian.value,
            standard_error=gaussian.standard_error,
            settings={"kernel": "gaussian", "sigma": SIGMA, "estimate": "biased", "halves": HALVES},
        ),
    ]
    by_image = shares(ours, real)
    for name, values, neighbours in (
        ("precision", by_image.precision, MANIFOLD_NEAREST),
        ("recall", by_image.recall, MANIFOLD_NEAREST),
        ("density", by_image.density, DENSITY_NEAREST),
        ("coverage", by_image.coverage, DENSITY_NEAREST),
    ):
        low, high = mean_interval(values[None], seed=seed)
        found.append(
            measure(
                name,
                float(values.mean()),
                better="higher",
                low=low,
                high=high,
                settings={"neighbours": neighbours},
            )
        )
    return found


def _nearness(
    sets: Sets, extractor: str, seed: int
) -> tuple[Neighbours, Neighbours | None, NearnessRecord | None]:
    """Return nearest training images of synthetic and of held-out real images, and how they compare.

    Without training images the real ones are searched, and the floor is of test images.
    """
    training = sets.train or sets.real
    held_out = sets.test if sets.train is None else sets.real
    own = own_distances(np.asarray(training.features, dtype=np.float64))
    ours = _neighbours(sets.synthetic, training, own)
    if held_out is None:
        return ours, None, None
    theirs = _neighbours(held_out, training, own)
    found = nearest_to_training(ours.found.distances, theirs.found.distances)
    share = ours.found.authentic.astype(np.float64)
    low, high = mean_interval(share[None], seed=seed)
    record = NearnessRecord.model_validate(
        {
            "name": f"nearest-training-image@{extractor}",
            "training": training.record.role,
            "floor": held_out.record.role,
            "n": len(ours.found.rows),
            "n_training": len(training.features),
            "n_floor": len(theirs.found.rows),
            "median": found.median,
            "floor_median": found.floor_median,
            "limit": found.limit,
            "below_limit": found.below_limit,
            "nearer": found.nearer,
            "nearer_low": found.low,
            "nearer_high": found.high,
            "authentic": float(share.mean()),
            "authentic_low": low,
            "authentic_high": high,
            "floor_authentic": float(theirs.found.authentic.mean()),
            "floor_copies": _copies(held_out, training),
        }
    )
    return ours, theirs, record


def _copies(images: FeatureSet, training: FeatureSet) -> int | None:
    if images.marks is None or training.marks is None:
        return None
    known = set(training.marks.pixels)
    return sum(digest in known for digest in images.marks.pixels)


def _neighbours(images: FeatureSet, training: FeatureSet, own: Features) -> Neighbours:
    ours, theirs = (np.asarray(each.features, dtype=np.float64) for each in (images, training))
    return Neighbours(images, training, training_neighbours(ours, theirs, own))


def _captions(
    synthetic: FeatureSet, extractor: Extractor | None, seed: int
) -> tuple[CaptionRecord | None, str]:
    if not synthetic.captions or extractor is None:
        return None, "agreement with captions: the synthetic images have none"
    kinds = sorted(set(synthetic.captions))
    texts = extractor.texts(kinds)
    if texts is None:
        return None, "agreement with captions: the extractor reads no text"
    if len(kinds) < 2:
        return None, "agreement with captions: all are the same"
    places = {caption: row for row, caption in enumerate(kinds)}
    rows = [places[caption] for caption in synthetic.captions]
    found = caption_agreement(
        np.asarray(synthetic.features, dtype=np.float64),
        np.asarray(texts[rows], dtype=np.float64),
        synthetic.captions,
        seed=seed,
    )
    return CaptionRecord(
        name=f"clip-score@{synthetic.extractor.id}",
        n=found.n,
        captions=found.captions,
        shuffles=found.shuffles,
        mean=found.mean,
        null=found.null,
        null_deviation=found.null_deviation,
        difference=found.difference,
        low=found.low,
        high=found.high,
    ), ""


def _leaks(sets: Sets) -> tuple[Leaks | None, tuple[LeakRecord, ...], str]:
    if sets.test is None:
        return None, (), ""
    test = sets.test.marks
    if test is None or sets.synthetic.marks is None:
        return None, (), "leaks: saved features have no pixels"
    copies, records = None, []
    for each in (sets.synthetic, sets.real):
        if each.marks is None:
            continue
        found = find_leaks(each.marks, test)
        copies = found if each is sets.synthetic else copies
        records.append(
            LeakRecord.model_validate(
                {
                    "role": each.record.role,
                    "n": len(each.features),
                    "n_test": len(test.pixels),
                    "exact": int(found.exact.sum()),
                    "near": int(found.near.sum()),
                    "distance": BITS,
                }
            )
        )
    return copies, tuple(records), ""
