"""Tests of the package, without a cluster: `python -m unittest discover -t . -s tests` in the folder `ray-cluster/python`."""
