"""report.html, a whole run in one file that needs no network.

May import `method`, `evaluation` and what lies below them.
"""
