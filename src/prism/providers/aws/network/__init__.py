"""Networks of instances: subnets, security groups, and the address that the groups admit."""
