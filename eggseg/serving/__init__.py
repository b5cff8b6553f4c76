"""The server of `eggseg serve`: limits, photos in fair turns, the application, and its HTTP protocol."""
