"""What nodes cost: measured by onnxruntime's profiler, or estimated."""
