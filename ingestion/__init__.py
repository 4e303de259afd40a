"""From the portal to bronze: resources are found, downloaded to the raw zone, decoded and loaded."""
