"""The run folder: paths, progress, losses, and the summary of a run.

May import `storage` and the ground floor.
"""
