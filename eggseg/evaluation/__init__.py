"""Scores of predicted masks, and figures of them."""
