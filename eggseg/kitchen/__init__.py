"""Random kitchen scenes: canvas and camera, objects, places and the lens. `scenes` is the entry point."""
