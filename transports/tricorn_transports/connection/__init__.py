"""Synchronous drivers: between a socket (or a datagram) below and an engine with its exchanges above."""
