"""Scalar mathematics, written once, undecorated: constants, primitives, cores, and the formulas on them.

Every function runs as plain Python on NumPy scalars; the backends compile the same text. ``cext/formulas/`` is its twin in C.
"""
