"""Of `predict`: which photos it is given, the folder that it writes, and how much is in memory at once."""
