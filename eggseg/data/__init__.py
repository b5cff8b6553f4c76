"""Photos and masks: the class table, pairs, what is wrong with them, splits, squares and batches."""
