"""Copies of snapshots on another disk, on another computer and in S3."""
