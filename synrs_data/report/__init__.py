"""What people read of a finished build: dataset card, Croissant and HTML report, functions of its tables alone."""

from synrs_data.report.card import render_card
from synrs_data.report.croissant import render_croissant
from synrs_data.report.page import render_report
from synrs_data.report.view import BuildFacts

__all__ = ["BuildFacts", "render_card", "render_croissant", "render_report"]
