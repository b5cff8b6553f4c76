"""Metrics of predicted masks, and plots."""
