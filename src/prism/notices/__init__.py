"""Notices: what a person should know, in the web GUI, by mail and by webhook."""
