"""The training loop, supervised training, and training with differential privacy.

May import `data`, `models`, `run`, `storage` and the ground floor.
"""
