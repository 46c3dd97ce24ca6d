"""Street scenes with exact labels, painted by rules.

A stand-in that lets the main job run with no download, not a result about real roads: numbers
measured on these pictures say how training behaves, nothing about any street.
"""

from .render import render
from .styles import SCORED_STYLES, STYLES, Style
from .write import paths, write

__all__ = ["SCORED_STYLES", "STYLES", "VERSION", "Style", "paths", "render", "write"]

VERSION = 2
"""Raised with every change of the pictures, so that no cache mixes old ones with new ones."""
