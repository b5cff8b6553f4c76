"""Read the files of labelling tools as photos with labelled regions."""
