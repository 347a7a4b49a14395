"""One file a library around fastsig, each imported when it is asked for."""
