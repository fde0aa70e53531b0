"""The causal proof and the branches of suffixes, held to onnxruntime.

============  ===================================================================================
``sketches``  small sequence models written as text, with the mask as a parameter
``truth``     what is proven against what onnxruntime computes
``drawing``   random graphs that mix operators that look ahead with others; onnxruntime's own in ``drawing_fused``
============  ===================================================================================
"""
