"""``python -m fastsig apply`` and ``score``: the operations and the losses over .npy files that need not fit into memory."""
