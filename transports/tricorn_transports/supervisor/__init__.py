"""Several worker processes behind one set of sockets, and the parent that keeps them alive.

Rules of this package: the parent binds, and never imports the application; a worker is a fresh process (never a fork
of one that has threads or an event loop) that inherits the sockets and ends with its parent.
"""
