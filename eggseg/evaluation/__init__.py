"""How good masks are, and pictures of them."""
