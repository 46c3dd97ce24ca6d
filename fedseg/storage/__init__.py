"""Files that can be trusted: hashes, provenance, arrays with a checksum, audit logs.

May import the ground floor only.
"""
