"""Multinomial logistic regression on features, its regularisation chosen on validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from synrs_data.errors import MissingExtraError
from synrs_data.evaluate.protocols.base import Inputs, ProtocolOptions, Samples, check
from synrs_data.evaluate.protocols.scores import accuracy, log_probabilities, normalised, over_all_classes

_SMALL = 2**24
"""Multiplications of a pass over the data, some milliseconds of one core. Below it threads cost more than they save:
two take 6 to 15 times the processor time of one on a busy machine."""


class LinearProbeOptions(ProtocolOptions):
    """Options of `linear-probe`."""

    c: float | None = Field(
        None, gt=0, description="Inverse strength of the L2 penalty; chosen on validation by default."
    )
    c_low: float = Field(1e-2, gt=0, description="Lowest C of the grid; also taken without validation items.")
    c_high: float = Field(1e3, gt=0, description="Highest C of the grid.")
    c_count: int = Field(11, ge=2, description="Values of the grid, evenly spaced by logarithm.")
    refit: Literal["train", "train+validation"] = Field(
        "train", description="What the final classifier is fitted to."
    )
    normalise: bool = Field(True, description="Give each feature the length one first.")
    max_iterations: int = Field(1000, ge=1, description="Of L-BFGS, for each value of C.")
    tolerance: float = Field(
        1e-4, gt=0, description="Where L-BFGS stops: the largest part of the gradient of the mean loss."
    )

    @model_validator(mode="after")
    def _rising(self) -> LinearProbeOptions:
        if self.c_low >= self.c_high:
            raise ValueError(f"c_low {self.c_low} is not below c_high {self.c_high}")
        return self

    @property
    def grid(self) -> list[float]:
        """The values of C that are tried, rising."""
        if self.c is not None:
            return [self.c]
        return [float(c) for c in np.geomspace(self.c_low, self.c_high, self.c_count)]


class LinearProbe:
    """Logistic regression by L-BFGS (scikit-learn), as CLIP's linear probe (Radford et al. 2021, appendix A.3).

    The C of the highest validation accuracy wins, the smaller one of equals. Fits go up the grid, each from the last;
    one that starts within the tolerance stays as it is. (Fits from zero take two to five times as long.)
    Scores are log-probabilities, at least -1000.

    Args:
        options: What is fitted.
        device: Not used: it runs on the CPU.
    """

    Options: type[LinearProbeOptions] = LinearProbeOptions
    name: ClassVar[str] = "linear-probe"
    inputs: ClassVar[Inputs] = "features"
    needs_text: ClassVar[bool] = False

    def __init__(self, options: LinearProbeOptions, device: str) -> None:
        self.options = options

    def fit_predict(
        self,
        train: Samples,
        validation: Samples,
        test: NDArray[Any],
        classes: int,
        *,
        text: NDArray[np.float32] | None,
        seed: int,
    ) -> NDArray[np.float32]:
        """Fit each C, keep the best, score the test; see `TrainingProtocol.fit_predict`."""
        check(train, validation, test, classes, inputs=self.inputs, name=self.name)
        options = self.options
        grid = options.grid if len(validation) else options.grid[:1]
        best, chosen, head = -1.0, grid[0], None
        for c, fitted in _fits(options, grid, train):
            right = (
                accuracy(fitted.score(validation.inputs, classes), validation.labels)
                if len(validation)
                else 0
            )
            if right > best:
                best, chosen, head = right, c, fitted
        if options.refit == "train+validation" and len(validation):
            ((_, head),) = _fits(options, [chosen], train.joined(validation))
        assert head is not None  # there is at least one C, and accuracy is at least 0
        return head.score(test, classes)


@dataclass(frozen=True, slots=True)
class _Head:
    """A fitted classifier: weights (len(present), width), biases (len(present),), and the classes they stand for."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    present: NDArray[np.int64]
    normalise: bool

    def score(self, features: NDArray[Any], classes: int) -> NDArray[np.float32]:
        inputs = normalised(features) if self.normalise else features
        return over_all_classes(
            log_probabilities(inputs @ self.weights.T + self.biases), self.present, classes
        )


def _fits(options: LinearProbeOptions, grid: list[float], data: Samples) -> Iterator[tuple[float, _Head]]:
    """Yield a classifier for each C, rising, each fit starting where the last ended."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("the protocol 'linear-probe'", "eval") from error
    # 64 bits: with 32, the gradient of a weak penalty does not become small enough for L-BFGS to stop.
    inputs = np.asarray(normalised(data.inputs) if options.normalise else data.inputs, dtype=np.float64)
    present = np.unique(data.labels)
    if len(present) == 1:
        yield grid[0], _Head(np.zeros((1, inputs.shape[1])), np.zeros(1), present, options.normalise)
        return
    model = LogisticRegression(
        warm_start=True, max_iter=options.max_iterations, tol=options.tolerance, solver="lbfgs"
    )
    with threadpool_limits(1 if inputs.size * len(present) <= _SMALL else None, user_api="blas"):
        for c in grid:
            with warnings.catch_warnings():
                # With a weak penalty and separable classes L-BFGS may not end; that C then competes as it is.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=c).fit(inputs, data.labels)
            weights, biases = model.coef_.copy(), model.intercept_.copy()
            if len(present) == 2:  # scikit-learn keeps the difference of two classes alone
                weights, biases = np.vstack([0 * weights, weights]), np.append(0.0, biases)
            yield c, _Head(weights, biases, present, options.normalise)
