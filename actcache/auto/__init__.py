"""``import actcache.auto``, before onnxruntime's sessions are made, has them learn: see ``docs/run.md``.

``ACTCACHE_AUTO=0`` switches that off.
"""

from actcache.learn.hook import install

install()
