"""Architectures by name, their weights, and checkpoint folders.

May import `storage` and the ground floor.
"""
