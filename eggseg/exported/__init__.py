"""The trained model as others use it: the SavedModel from bytes to masks, and what an endpoint takes and gives."""
