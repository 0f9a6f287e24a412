"""The fingerprint generator: seeded fingers, their impressions on several sensors, and altered copies."""
