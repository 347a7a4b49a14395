"""Whose an array is, on which device, and what its elements are."""
