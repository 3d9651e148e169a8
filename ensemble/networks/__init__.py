"""The separation networks, and the only access to ONNX Runtime."""
