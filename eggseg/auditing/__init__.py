"""The checks of `eggseg audit`, and its HTML page."""
