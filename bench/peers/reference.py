"""The published loops, to be called."""

import sys

import numpy as np

import edits
from protocol import serve
from reference_loops import Transform, bare_cost, nearest_tokens, sinkhorn, warp

transforms = {}


def call_warp(source, target, markers):
    path, distance, by_source, by_target = warp(source, target, bare_cost(*markers))
    return [path, float(distance), by_source, by_target]


def call_sinkhorn(problems):
    results = []
    for cost, a, b, lam, threshold in problems:
        plan, distance, sweeps = sinkhorn(np.array(cost, float), np.array(a), np.array(b), lam, threshold)
        known = [None if np.isnan(value) else value for value in [*plan.ravel().tolist(), float(distance)]]
        results.append([known, sweeps])
    return results


def open_transform(name, target_tokens, source_tokens, markers, mapping):
    transforms[name] = Transform(target_tokens, source_tokens, markers, mapping)


def call_transform(name, target, source, method, threshold=1e-5):
    return transforms[name].rows(target, source, method, threshold)


def call_nearest(tokens, target_tokens, source_marker, target_marker):
    known = set(target_tokens)
    return [nearest_tokens(token, target_tokens, known, source_marker, target_marker) for token in tokens]


np.seterr(all="ignore")
serve(
    {
        "warp": call_warp,
        "sinkhorn": call_sinkhorn,
        "openTransform": open_transform,
        "transform": call_transform,
        "nearest": call_nearest,
    },
    f"Python {sys.version.split()[0]}, numpy {np.__version__}, {edits.package}",
)
