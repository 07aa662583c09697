"""Commands that need the framework, for ``tricorn`` the command (entry-point group ``tricorn.commands``)."""
