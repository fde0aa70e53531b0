"""A program as others write it, for ``benchmarks.run``: it knows nothing of actcache.

    python run_subject.py MODEL FEED CALLS start|ends

Makes CALLS calls with inputs that all differ from FEED and from each other: at the start, or at both ends of the first
input, so that parts of it repeat and a model is not refused at once. Prints one JSON object: the processor's
and the wall clock's seconds in the calls, and the most memory that the process ever held, in bytes.
"""

import json
import resource
import sys
import time

import numpy as np
import onnxruntime

model, feed_file, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed = dict(np.load(feed_file))
flat = feed[session.get_inputs()[0].name].reshape(-1)
changing = flat[:2] if sys.argv[4] == "start" else flat[:: len(flat) - 1]
wall, cpu = time.perf_counter(), time.process_time()
for call in range(calls):
    changing[:] = call % 100, call // 100 % 100
    session.run(None, feed)
print(
    json.dumps(
        {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
