"""The exported model: the SavedModel from bytes to masks, and the requests and answers of an endpoint."""
