"""Networks; every hyper-parameter is a keyword with a default."""
