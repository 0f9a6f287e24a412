"""params.yaml with less of everything, for a run of the whole graph in minutes."""

from pathlib import Path

from fpml.project.preset import read_yaml, write_yaml

path = Path("params.yaml")
params = read_yaml(path)
params["synth"].update(fvc_fingers=3, fvc_impressions=4, unseen_prints=3, socofing_subjects=3, minutiae_fingers=6)
for recipe in params["recipes"].values():
    recipe["train"]["epochs"] = min(2, recipe["train"]["epochs"])
    recipe["split"]["validation"] = 0.34
params["recipes"]["minutiae"]["train"].update(steps=4, fresh_fingers=4, batch_size=8)
params["recipes"]["repair-undo"]["train"].update(steps=3, fresh_fingers=4, batch_size=4)
write_yaml(params, path)
