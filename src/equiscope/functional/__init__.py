"""Tensors in, tensors out: nothing here knows a model, a file or a device."""
