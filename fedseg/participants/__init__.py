"""Clients, evaluators and the nodes that speak for them: what they are asked, allow and answer.

May import `evaluation`, `method.cross_site` and what lies below them.
"""
