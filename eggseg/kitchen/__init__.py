"""A kitchen drawn from dice: canvas and camera, things, places and the lens; `scenes` is the door to it."""
