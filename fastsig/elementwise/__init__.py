"""The functions of one input."""
