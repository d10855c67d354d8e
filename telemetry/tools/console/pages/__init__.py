"""The console's web pages: one module for each, server-rendered, usable without JavaScript."""
