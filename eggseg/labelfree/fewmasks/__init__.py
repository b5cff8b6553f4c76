"""Learning from photos of which few have masks."""
