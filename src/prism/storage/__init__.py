"""Storage: volumes and snapshots, which outlive the workspaces that use them.

As with workspaces, a row has two authors who never write the same column. Requests write
what is wanted (`verb` and `wish`; of an attachment `wanted`), the reconcilers what is so
(`seen` and `granted`; of an attachment `attached`). The state on the wire is a pure function
of both (`plan.py`).
"""
