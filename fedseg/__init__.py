"""Federated learning for synthetic-to-real segmentation of driving scenes."""

__version__ = "0.1.0"
