"""Pushed records on their way: what a feed takes, the log that makes them durable, and what became of each batch."""
