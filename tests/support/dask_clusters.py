"""Dask clusters inside the test process, which need no process of their own."""

import distributed


def cluster_in_this_process(workers=1):
    """Return a cluster whose scheduler and workers, of two threads each, are in this process."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )
