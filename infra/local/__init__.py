"""The services of a team on one machine, as plain processes on loopback: `make up`, `make down`."""
