"""What labelling tools write, read as photos with labelled regions."""
