"""Where weights come from: embedded in the package, a local folder, or the Hub at a revision."""

from synrs_data.models.source import ModelFolder, locate

__all__ = ["ModelFolder", "locate"]
