"""The networks, and the one door to ONNX Runtime."""
