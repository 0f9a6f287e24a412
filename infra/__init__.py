"""How fpml is run by a team: services, images, deployments."""
