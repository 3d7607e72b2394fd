"""What four published degradations draw, written down here from their sources, not from our presets.

A value of a table is a dictionary of probabilities, or a list of (probability, lowest, highest): a mixture of uniform
distributions, in which lowest = highest is a single value. `SHARES` says how often a parameter applies to an image.
"""

from __future__ import annotations

from math import pi

Table = dict[str, float] | list[tuple[float, float, float]]

ESRGAN_KINDS = {
    "iso": 0.45, "aniso": 0.25, "generalized_iso": 0.12, "generalized_aniso": 0.03, "plateau_iso": 0.12,
    "plateau_aniso": 0.03,
}  # fmt: skip
ANISO, SHAPED = 0.31, 0.30
"""Shares of the six kinds above that are anisotropic, and that have a beta."""
WITH_SINC = {kind: 0.9 * share for kind, share in ESRGAN_KINDS.items()} | {"sinc": 0.1}
MODES = {"area": 1 / 3, "bilinear": 1 / 3, "bicubic": 1 / 3}
BETAS = [(0.25, 0.5, 1.0), (0.25, 1.0, 4.0), (0.25, 1.0, 1.0), (0.25, 1.0, 2.0)]
YES_NO = {
    0.8: {"True": 0.8, "False": 0.2},
    0.5: {"True": 0.5, "False": 0.5},
    0.9: {"True": 0.9, "False": 0.1},
}


def equal(values: range | list[int]) -> dict[str, float]:
    return {str(value): 1 / len(values) for value in values}


def cutoffs(sizes: range) -> list[tuple[float, float, float]]:
    small = sum(size < 13 for size in sizes) / len(sizes)
    return [(small, pi / 3, pi), (1 - small, pi / 5, pi)]


def esrgan(
    first: range, second: range, *, second_order: float = 1.0
) -> tuple[dict[str, Table], dict[str, float]]:
    """Real-ESRGAN: options/train_realesrgan_x4plus.yml, realesrgan_dataset.py, realesrgan_model.py.

    ResShift: the journal's configuration, with other sizes of kernels and a second part that is often left out.
    """
    tables: dict[str, Table] = {
        "resize1.kind": {"up": 0.2, "down": 0.7, "keep": 0.1},
        "resize1.scale": [(2 / 9, 1.0, 1.5), (7 / 9, 0.15, 1.0)],
        "resize2.kind": {"up": 0.3, "down": 0.4, "keep": 0.3},
        "resize2.scale": [(3 / 7, 1.0, 1.2), (4 / 7, 0.3, 1.0)],
        "noise1.sigma": [(1.0, 1.0, 30.0)],
        "noise2.sigma": [(1.0, 1.0, 25.0)],
        "noise1.poisson_scale": [(1.0, 0.05, 3.0)],
        "noise2.poisson_scale": [(1.0, 0.05, 2.5)],
        "final.order": {"back jpeg2": 0.5, "jpeg2 back": 0.5},
        "blur2.applied": YES_NO[0.8],
        "sinc.applied": YES_NO[0.8],
        "sinc.kind": {"sinc": 1.0},
        "sinc.size": equal(second),
        "sinc.omega_c": [(1.0, pi / 3, pi)],
    }
    shares = {"resize1.scale": 0.9, "resize2.scale": 0.7 * second_order, "blur2.applied": second_order}
    shares |= {f"sinc.{key}": 0.8 for key in ("kind", "size", "omega_c")}
    for name, sizes, sigma, often in (
        ("blur1", first, 3.0, 1.0),
        ("blur2", second, 1.5, 0.8 * second_order),
    ):
        tables |= {
            f"{name}.kind": WITH_SINC, f"{name}.size": equal(sizes), f"{name}.omega_c": cutoffs(sizes),
            f"{name}.sigma_x": [(1.0, 0.2, sigma)], f"{name}.sigma_y": [(1.0, 0.2, sigma)],
            f"{name}.rotation": [(1.0, -pi, pi)], f"{name}.beta": list(BETAS),
        }  # fmt: skip
        shares |= {
            f"{name}.kind": often, f"{name}.size": often, f"{name}.omega_c": 0.1 * often,
            f"{name}.sigma_x": 0.9 * often, f"{name}.sigma_y": 0.9 * ANISO * often,
            f"{name}.rotation": 0.9 * ANISO * often, f"{name}.beta": 0.9 * SHAPED * often,
        }  # fmt: skip
    for number, often in (("1", 1.0), ("2", second_order)):
        tables |= {
            f"noise{number}.kind": {"gaussian": 0.5, "poisson": 0.5},
            f"noise{number}.channels": {"colour": 0.6, "gray": 0.4},
            f"resize{number}.mode": MODES, f"jpeg{number}.quality": [(1.0, 30.0, 95.0)],
        }  # fmt: skip
        shares |= {
            f"noise{number}.kind": often, f"noise{number}.channels": often, f"noise{number}.sigma": often / 2,
            f"noise{number}.poisson_scale": often / 2, f"resize{number}.mode": often,
        }  # fmt: skip
        shares[f"resize{number}.kind"] = often
    tables["resize3.mode"] = MODES
    if second_order < 1:
        tables["second.applied"] = YES_NO[second_order]
    return tables, shares


def orders() -> dict[str, float]:
    """Every order of BSRGAN's six shuffled steps in which the second shrinking comes before the third."""
    from itertools import permutations

    steps = ["blur1", "blur2", "downsample2", "downsample3", "noise", "jpeg1"]
    found = [
        order for order in permutations(steps) if order.index("downsample2") < order.index("downsample3")
    ]
    return {" ".join(order): 1 / 360 for order in found}


def bsrgan() -> tuple[dict[str, Table], dict[str, float]]:
    """BSRGAN: utils/utils_blindsr.py, `degradation_bsrgan` with sf=4 and no isp_model."""
    thirds = {"bilinear": 1 / 3, "bicubic": 1 / 3, "exact_area": 1 / 3}
    tables: dict[str, Table] = {
        "start.option": {"whole": 0.75, "half": 0.25},
        "downsample1.option": {"opencv": 0.5, "matlab": 0.5},
        "halve.mode": {
            "bilinear": 1 / 6,
            "bicubic": 1 / 6,
            "exact_area": 1 / 6,
            "antialiased_bicubic": 1 / 2,
        },
        "shuffled.order": orders(),
        "downsample2.option": {"by_any": 0.75, "by_whole": 0.25},
        "shrink.divisor": [(0.75, 1.0, 8.0), (0.25, 1.0, 4.0)],
        "shrink.mode": thirds,
        "centred.kind": {"iso": 1.0},
        "centred.size": {"25": 1.0},
        "centred.sigma_x": [(0.75, 0.1, 2.4), (0.25, 0.1, 1.2)],
        "pick.mode": {"nearest": 1.0},
        "downsample3.mode": thirds,
        "noise.kind": {"gaussian": 1.0},
        "noise.channels": {"colour": 0.4, "gray": 0.4, "correlated": 0.2},
        "noise.sigma": equal(range(2, 26)),
        "jpeg1.applied": YES_NO[0.9],
        "jpeg1.quality": equal(range(30, 96)),
        "jpeg2.quality": equal(range(30, 96)),
    }
    shares = {
        "downsample1.option": 0.25, "halve.mode": 0.25, "shrink.divisor": 0.75, "shrink.mode": 0.75,
        "centred.kind": 0.25, "centred.size": 0.25, "centred.sigma_x": 0.25, "pick.mode": 0.25,
        "noise.sigma": 0.8, "jpeg1.quality": 0.9,
    }  # fmt: skip
    for name in ("blur1", "blur2"):
        tables |= {
            f"{name}.kind": {"iso": 0.5, "aniso": 0.5}, f"{name}.size": equal(range(7, 26, 2)),
            f"{name}.sigma_x": [(0.75, 0.0, 2.8), (0.25, 0.0, 2.4)], f"{name}.rotation": [(1.0, 0.0, pi)],
            f"{name}.variance_x": [(0.75, 0.0, 8.0), (0.25, 0.0, 6.0)],
            f"{name}.variance_y": [(0.75, 0.0, 8.0), (0.25, 0.0, 6.0)],
        }  # fmt: skip
        shares |= {f"{name}.{key}": 0.5 for key in ("sigma_x", "variance_x", "variance_y", "rotation")}
    unit = ["power_1", "power_2", "power_3", *(f"mix_{i}{j}" for i in "123" for j in "123")]
    tables |= {f"noise.{key}": [(1.0, 0.0, 1.0)] for key in unit}
    shares |= {f"noise.{key}": 0.2 for key in unit}
    return tables, shares


TABLES: dict[str, tuple[dict[str, Table], dict[str, float]]] = {
    "real-esrgan-x4": esrgan(range(7, 22, 2), range(7, 22, 2)),
    "real-esrgan-x2": esrgan(range(7, 22, 2), range(7, 22, 2)),
    "resshift": esrgan(range(3, 21, 2), range(3, 15, 2), second_order=0.5),
    "bsrgan": bsrgan(),
}
