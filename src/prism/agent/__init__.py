"""The programs that run beside a workspace on its machine; they use the standard library only."""
