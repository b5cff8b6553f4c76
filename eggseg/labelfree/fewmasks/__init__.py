"""Training on photos of which few have masks."""
