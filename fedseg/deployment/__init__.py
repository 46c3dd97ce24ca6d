"""A federation across machines: certificates, identities, the server, and running on it."""
