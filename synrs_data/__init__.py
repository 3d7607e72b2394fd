"""Build synthetic remote-sensing datasets with diffusion models and measure whether they help."""

__version__ = "0.1.0"

__all__ = ["__version__"]
