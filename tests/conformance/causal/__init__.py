"""The causal proof and the branches of suffixes, held to onnxruntime.

============  ===================================================================================
``sketches``  small sequence models written as text, with the mask as a parameter
``masks``     masks as exporters write them, and such as look like them
``fused``     onnxruntime's own operators of transformers
``scans``     Scan along positions
``truth``     what is proven against what onnxruntime computes
``drawing``   random graphs that mix operators that look ahead with others; onnxruntime's own in ``drawing_fused``,
              Scan in ``drawing_scans``, computed masks in ``drawing_masks``, the rest in ``drawing_further``
``trial``     one graph, proven and held to onnxruntime in every form; ``python -m tests.conformance.causal`` runs many
============  ===================================================================================
"""
