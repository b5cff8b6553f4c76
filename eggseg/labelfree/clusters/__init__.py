"""Clusters of pixels, of features, or of what Segment Anything finds, and the classes that they stand for."""
