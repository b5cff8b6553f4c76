"""Clusters of pixels, of features or of Segment Anything's objects, and the class of each cluster."""
