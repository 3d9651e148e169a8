"""Separation networks on ONNX Runtime, and the code that combines their answers."""

import os

# Since 1.29 ONNX Runtime reports the machine and its networks to its vendor unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
