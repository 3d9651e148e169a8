"""Converts official checkpoints to ONNX. Nothing that separates imports it."""
