"""Where folders lie: on this machine's disks, or in a store of objects."""
