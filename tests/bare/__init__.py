"""Prism on bare machines: conditions made by mount namespaces, and real Debian systems."""
