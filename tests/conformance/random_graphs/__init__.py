"""Random graphs over the operators of the row-rule registry: made from a name, or drawn and shrunk by hypothesis.

==============  ==================================================================================
``values``      tensors and the numbers in them
``sketch``      a graph under construction; every node is tried in onnxruntime as it is added
``families``    the registry of builders
``elementwise`` … ``bodies``  one file of builders per family of operators
``drawing``     whole graphs: :func:`graphs`, :func:`names`, :func:`make`, :func:`shrunk`
``__main__``    what they cover, and small ones of those that fail: ``python -m tests.conformance.random_graphs``
==============  ==================================================================================
"""

from tests.conformance.random_graphs.drawing import graphs, make, names, shrunk

__all__ = ["graphs", "make", "names", "shrunk"]
