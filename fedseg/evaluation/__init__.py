"""Metrics, inference over whole images, and scores.

May import `training`, `data`, `models`, `run`, `storage` and the ground floor.
"""
