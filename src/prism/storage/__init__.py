"""Storage: volumes and snapshots, which outlive the workspaces that use them.

As with workspaces, two writers change a row, and never the same column. Requests write what you
requested (`verb` and `wish`; of an attachment `wanted`), the reconcilers what they observed
(`seen` and `granted`; of an attachment `attached`). The API computes the state from both
(`plan.py`).
"""
