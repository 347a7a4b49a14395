"""Scores in polars: an expression, lazy and streamed like any other, and the loss of a group."""

import polars as pl

import fastsig as fs

frame = pl.LazyFrame({"group": ["a", "b", "a", "b"], "score": [-100.0, 2.0, 0.5, -1.0], "clicked": [0, 1, 1, 0]})
scored = frame.with_columns(probability=fs.sigmoid(pl.col("score")))
print(scored.collect(engine="streaming"))
for (group,), rows in scored.collect().group_by("group", maintain_order=True):
    print(group, round(float(fs.bce_with_logits(rows["score"], rows["clicked"])), 4))
