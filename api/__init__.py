"""The HTTP gateway over raw, staging and curated tables."""
