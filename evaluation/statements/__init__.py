"""Statements about results that anybody can check, and the Merkle log that holds them. Standard library only,
but for `ed25519`."""
