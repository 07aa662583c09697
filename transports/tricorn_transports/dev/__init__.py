"""The development server: a local certificate, all protocols, and a restart whenever the application changes."""
