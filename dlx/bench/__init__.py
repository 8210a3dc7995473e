"""What measures speed and memory, on this machine, or for devices that are not here from compiled programs."""
