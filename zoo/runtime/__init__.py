"""Running bundles: opening a workflow, devices, threads, memory, signals."""
