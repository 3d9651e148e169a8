"""Separation networks on ONNX Runtime, and what makes one answer of several."""
