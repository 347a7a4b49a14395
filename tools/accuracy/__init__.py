"""``python -m tools.accuracy`` in a checkout: measures as ``python -m fastsig check`` does, and keeps the repository's record of it."""
