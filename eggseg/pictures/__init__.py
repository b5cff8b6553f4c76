"""Picture files to upright pixels, through Pillow or inside a graph, and into the network's square and back."""
