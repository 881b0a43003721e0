"""One executor for all that runs in other processes: of this computer, or of a cluster."""
