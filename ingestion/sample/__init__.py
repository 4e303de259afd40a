"""Sample data shaped like data.gouv.fr's, and a small portal that serves it: for the demo, the tests and benchmarks.

Owns invented rows over real code lists (INSEE communes, BAAC codes, French holidays). Knows nothing of how they are
ingested: the rest of the project meets it over HTTP only, as it meets the real portal.
"""
