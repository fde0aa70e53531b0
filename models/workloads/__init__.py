"""Streams of real text and images with natural repeats, for the demo and the benchmarks.

`WORKLOADS["table-cells"].batches(count=40, rows=8)` yields what `InferenceSession.run` takes.
"""

from models.workloads.queries import CHAT_UTTERANCES, WORD_QUERIES
from models.workloads.stream import Batch, Workload, natural_reuse
from models.workloads.table_cells import CELL_DIRECTIONS, TABLE_CELLS
from models.workloads.texts import ARTWORK_MEDIA, ARTWORK_TITLES, STRIKE_REMARKS, TWEETS

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        TABLE_CELLS,
        CELL_DIRECTIONS,
        STRIKE_REMARKS,
        ARTWORK_MEDIA,
        ARTWORK_TITLES,
        WORD_QUERIES,
        CHAT_UTTERANCES,
        TWEETS,
    )
}

__all__ = ["WORKLOADS", "Batch", "Workload", "natural_reuse"]
