"""The server of `eggseg serve`: what requests may take, photos in fair turns, the application, and HTTP below it."""
