"""What programs that watch the daemon read: `/healthz`, `/readyz` and `/metrics`."""
