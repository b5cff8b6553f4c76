"""Masks from photos with few labels or none."""
