"""Masks without labels, or with few."""
