"""Alerts: what of the lake somebody must look into, decided from the ledger, told once, and told again when over."""
