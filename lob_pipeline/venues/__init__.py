"""Exchange bytes to integer rows: one module a venue, stateless, no network. Entry: ``venues.decode``."""
