"""EBS volumes, EFS file systems and EC2 snapshots, and how instances mount them."""
