"""The Numba backend for the CPU."""
