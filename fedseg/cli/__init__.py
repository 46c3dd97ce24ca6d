"""The command line, and what it prints. May import everything."""
