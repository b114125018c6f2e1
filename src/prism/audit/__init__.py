"""The audit log: who changed what and when, to be searched and exported."""
