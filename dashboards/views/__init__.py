"""The pages: each asks the gateway, shapes the answers and draws; nothing is worked out here."""
