"""How mail leaves: over SMTP, or into a folder."""
