"""The compiler's analyses and rewrites, one subject per file, in the order in which they depend on each other.

=============  ==================================================================================
``graph``      the model as the analyses see it: def-use, types, constants, order, cones
``purity``     which nodes may be skipped at all
``rows``       which tensors are proven to keep the rows of a batch apart
``region``     the set of nodes that a hit skips, what it reads and what it hands on
``identity``   the content hash of a region, and where two regions differ
``costs``      what each node costs, by onnxruntime's profiler
``rewrite``    regions into the branch of an ``If`` behind a ``CacheLookup``, and back; weights; a variable batch
``choice``     the regions that are worth it: minimum cut, what a hit saves, what recorded calls would have found
``refusal``    why something is not cached: data that every step adds to
=============  ==================================================================================
"""
