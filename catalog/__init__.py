"""What the lakehouse holds and where: settings, feeds, the Iceberg catalogue, the ledger, releases, SQL."""
