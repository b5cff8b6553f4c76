"""A training run: its settings, its loss and optimizer, its folder, and several runs for cross-validation."""
