"""All metrics, in the order in which tables show them. Importing this imports no torch."""

from fpml.metrics import generation, minutiae, pictures, verification

MODEL = "model"  # the method's name in every table; what stands beside it are baselines
FLOOR = "floor"  # what nothing can go below
REAL = "real against real"  # what real prints score against other real ones: made prints need not go beyond
METRICS = {metric.name: metric for kin in (pictures, verification, minutiae, generation) for metric in kin.METRICS}
