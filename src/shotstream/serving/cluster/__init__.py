"""A studio on several machines: replicas that tell stories, and an ingress that finds them."""
