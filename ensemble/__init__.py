"""Separation networks on ONNX Runtime, and what makes one answer of several."""

import os

# Since 1.29 ONNX Runtime reports machine and networks to its maker, unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
