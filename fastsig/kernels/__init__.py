"""What computes: the three backends, which do not know each other, and what they share."""
