"""A kitchen drawn from dice: canvas and camera, things, places and the lens. `eggseg.scenes` is the door to it."""
