"""The U-Net, its encoders, and the layers and files of weights that they are made of."""
