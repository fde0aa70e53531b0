"""The compiler's analyses and rewrites, one subject per file.

The order in which the driver (``actcache.compiler``) runs them:

========================  ==================================================================
``graph``                 a read-only view of the model: graphsurgeon graph, types, def-use
``purity``                which nodes may be skipped at all
``cones``                 which graph inputs each tensor depends on
``rows``                  which tensors are proven to keep the rows of a batch apart
``cost``                  what each node costs, by onnxruntime's profiler
``selection``             the region that saves most for the bytes it keeps
``outline``               moves the region into the branch of an ``If`` behind a ``CacheLookup``
``inline_regions``        the inverse: a compiled model back to the model it came from
``fingerprint``           content hash of a region
========================  ==================================================================
"""
