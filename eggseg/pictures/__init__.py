"""Picture files to upright pixels, by Pillow or in the TensorFlow graph; letterboxing and its inverse."""
