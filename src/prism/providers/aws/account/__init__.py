"""Who Prism is in an AWS account, what it may do there, and what an administrator sets up once."""
