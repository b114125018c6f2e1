"""Storage: volumes and snapshots, which outlive the workspaces that use them.

As with workspaces, two writers change a row, and never the same column. Requests write what is
requested (`verb` and `generation`; of an attachment `wanted`), and the reconcilers write what they
observe (`observed` and `observed_generation`; of an attachment `attached`). The API computes the
state from both (`plan.py`).
"""
