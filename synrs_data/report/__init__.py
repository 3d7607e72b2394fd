"""What people read of a finished build: dataset card and HTML report, functions of its tables alone."""

from synrs_data.report.card import render_card
from synrs_data.report.page import render_report
from synrs_data.report.view import BuildFacts

__all__ = ["BuildFacts", "render_card", "render_report"]
