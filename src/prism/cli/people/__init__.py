"""Commands for people: projects, members, invitations, logins, tokens, the audit log."""
