"""report.html, a whole run in one file that needs no network, and the figures of a run.

May import `distillation`, `evaluation` and what lies below them.
"""
