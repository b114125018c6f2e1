"""Networks of instances: subnets, security groups, and our address, which the groups admit."""
