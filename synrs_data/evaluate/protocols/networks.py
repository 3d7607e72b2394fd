"""Networks that are trained from scratch: those of timm by name, and a small one of our own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from synrs_data.errors import MissingExtraError, RecipeError
from synrs_data.resources import suggestion

if TYPE_CHECKING:
    from torch import nn

SMALL_CNN = "small-cnn"


def make_network(name: str, classes: int, size: tuple[int, int]) -> nn.Module:
    """Return an untrained network for RGB images; PyTorch's global generator draws its weights.

    Args:
        name: "small-cnn", or a model of timm.
        classes: Number of outputs.
        size: Height and width of the images.

    Raises:
        MissingExtraError: It is timm's, which is not installed.
        RecipeError: timm has no such model, or it does not take images of this size.
    """
    if name == SMALL_CNN:
        return small_cnn(classes)
    try:
        import timm
        import torch
    except ImportError as error:
        raise MissingExtraError(f"the network '{name}'", "eval") from error
    if name not in timm.list_models():
        raise RecipeError(
            f"unknown network '{name}'",
            fix=suggestion(name, [SMALL_CNN, *timm.list_models()], what="network"),
        )
    network: nn.Module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            # Only models that have positions or windows of a size take this.
            network = timm.create_model(name, pretrained=False, num_classes=classes, img_size=size)
        except TypeError:
            network = timm.create_model(name, pretrained=False, num_classes=classes)
        except (AssertionError, ValueError, RuntimeError) as error:
            raise _unfit(name, size, error) from error
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, *size))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _unfit(name, size, error) from error
    return network.train()


def _unfit(name: str, size: tuple[int, int], error: Exception) -> RecipeError:
    return RecipeError(
        f"the network '{name}' does not take images of {size[0]} x {size[1]}: {str(error).splitlines()[0][:200]}",
        fix="choose another network, or another `size`",
    )


def small_cnn(classes: int) -> nn.Module:
    """Return four convolutions with BatchNorm and ReLU, each halving the side, then the mean and a linear layer.

    98,970 parameters for ten classes, 4 million multiplications for an image of 64 x 64.
    """
    from torch import nn

    layers: list[nn.Module] = []
    channels = 3
    for width in (16, 32, 64, 128):
        layers += [
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
