"""Copies trees that programs may be changing, and compares copies with what was copied."""
