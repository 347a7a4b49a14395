"""Who serves a call: the backends that there are, the sizes at which one way wins, and the choice."""
