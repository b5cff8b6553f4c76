"""tensorflow-datasets: eggs and pans as one of them, and any of them to train on."""
