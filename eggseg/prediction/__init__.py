"""Parts of `eggseg predict`: settings, input photos, output folder, and a bound on memory."""
