"""What people read of a finished build: card, picture, Croissant and HTML report, functions of its tables alone."""

from synrs_data.report.card import render_card
from synrs_data.report.croissant import render_croissant
from synrs_data.report.page import render_report
from synrs_data.report.samples import samples_picture
from synrs_data.report.view import BuildFacts

__all__ = ["BuildFacts", "render_card", "render_croissant", "render_report", "samples_picture"]
