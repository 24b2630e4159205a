"""The tests. Coverage is to measure with probes before anything that it measures is loaded."""

from tests.measuring import measure_with_probes

measure_with_probes()
