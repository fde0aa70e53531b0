"""The compiler's analyses and rewrites, one subject per file.

The order in which the driver (``actcache.compiler``) runs them:

========================  ==================================================================
``graph``                 a read-only view of the model: graphsurgeon graph, types, def-use
``told_types``            types of values that onnx cannot infer, asked of onnxruntime
``purity``                which nodes may be skipped at all
``cones``                 which graph inputs each tensor depends on
``rows``                  which tensors are proven to keep the rows of a batch apart
``profile``, ``cost``     what each node costs, by onnxruntime's profiler
``selection``             the region that saves most for the bytes it keeps, by a minimum cut
``search``                regions of one cone: by rows or by whole calls, from every start (``starts``)
``choose``                which of them, by what a hit saves …
``choose_traced``         … or by what recorded calls would have found (``recording``, ``prediction``)
``outline``               moves the region into the branch of an ``If`` behind a ``CacheLookup``
``per_call``              inputs that steer the cache call by call, and an output that tells what was reused
``inline_regions``        the inverse: a compiled model back to the model it came from
``fingerprint``           content hash of a region
``local_functions``       the model's own functions: inlined for the analyses, kept in the result
``dynamic_batch``         a model for one batch size made into one for any
========================  ==================================================================

``region_diff``, with ``tensor_diff`` for weights, tells two regions of compiled models apart (``actcache diff``).
"""
