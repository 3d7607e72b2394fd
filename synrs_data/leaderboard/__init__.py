"""Submissions that prove their scores, and the board that ranks them."""
