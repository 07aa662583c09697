"""Everything that reaches into aioquic beyond its documented interface.

Rules of this package: each private name of the library stands in one class here, overridden or read, and
``tests/engines/h3/test_quic_aioquic.py`` fails when the library changes it. What a name is used for, and what would
make it unnecessary, is said where it is used.
"""
