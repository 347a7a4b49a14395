"""Scores in a pandas DataFrame: probabilities, odds and the loss, with the index kept."""

import numpy as np
import pandas as pd

import fastsig as fs

frame = pd.DataFrame(
    {"score": np.array([-100, -2, 0, 3, 90], dtype=np.float32), "clicked": np.array([0, 0, 1, 1, 1], dtype=np.float32)},
    index=["a", "b", "c", "d", "e"],
)
frame["probability"] = fs.sigmoid(frame["score"])
frame["slope"] = fs.sigmoid_grad(frame["score"])
frame["loss"] = fs.ufuncs.bce_with_logits(frame["score"], frame["clicked"])
print(frame.to_string())
assert (frame["probability"] > 0).all(), "no probability is lost in the tail"
