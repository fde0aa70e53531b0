"""One library and its compiled models under many versions of onnxruntime and Python: ``python -m scripts.versions``."""
