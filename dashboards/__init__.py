"""The supervision dashboard; it speaks to the gateway over HTTP only."""
