"""Programs that nobody changed: their sessions learn what repeats, and go over to a compiled model if that pays.

``actcache run`` puts ``site/`` on the program's path, and ``hook.py`` puts the learning session class in the place of
``onnxruntime.InferenceSession``. A session runs the original at first. A thread (``process.py``) writes a sample of its
calls down and has a process at low priority (``job.py``) compile the model. What that compiled lies in the cache folder
(``cache.py``), and is checked before it is used.
"""
