"""The machine and the user's place on it: processor, threads, directories, terminal, files."""
