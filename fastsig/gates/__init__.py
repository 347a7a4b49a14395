"""Gated linear units and the cells of recurrent networks."""
