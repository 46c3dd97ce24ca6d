"""What a command does from start to end: checks, simulation, the server's stages, baselines.

May import all packages but `cli`.
"""
