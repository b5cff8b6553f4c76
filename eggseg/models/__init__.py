"""The U-Net, its encoders, their layers, and their weights files."""
