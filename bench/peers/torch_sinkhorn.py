"""Balanced Sinkhorn, batched in torch, and problem by problem in POT."""

import os

os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")

import numpy as np
import torch

from protocol import serve

torch.set_num_threads(2)
torch.set_grad_enabled(False)


def read(folder, rows, cols):
    load = lambda name: torch.from_numpy(np.fromfile(f"{folder}/{name}", np.float32))
    return load("cost").view(-1, rows, cols), load("a").view(-1, rows), load("b").view(-1, cols)


# Cells at a time: more than fit into the caches are slower for torch.
CHUNK = 8192 * 10 * 10


def chunks(folder, rows, cols):
    count = max(1, CHUNK // (rows * cols))
    return zip(*(x.split(count) for x in read(folder, rows, cols)))


def scaling(folder, rows, cols, epsilon, iterations, dtype):
    """Scales a and b in turn; in f32, or f64 where f32 underflows."""
    total = 0
    for chunk in chunks(folder, rows, cols):
        cost, a, b = (x.to(getattr(torch, dtype)) for x in chunk)
        kernel = torch.exp(-cost / epsilon)
        v = torch.ones_like(b)
        for _ in range(iterations):
            u = a / torch.bmm(kernel, v.unsqueeze(2)).squeeze(2)
            v = b / torch.bmm(u.unsqueeze(1), kernel).squeeze(1)
        sums = v * torch.bmm(u.unsqueeze(1), kernel).squeeze(1)
        total += sums.sum().item()
    return total


def log_domain(folder, rows, cols, epsilon, iterations):
    """The same in the log domain, stable in f32."""
    total = 0
    for cost, a, b in chunks(folder, rows, cols):
        cost, log_a, log_b = -cost / epsilon, a.log(), b.log()
        g = torch.zeros_like(b)
        for _ in range(iterations):
            f = log_a - torch.logsumexp(cost + g.unsqueeze(1), 2)
            g = log_b - torch.logsumexp(cost + f.unsqueeze(2), 1)
        total += torch.exp(cost + f.unsqueeze(2) + g.unsqueeze(1)).sum().item()
    return total


def pot(folder, rows, cols, epsilon, iterations, count):
    """POT's sinkhorn, which solves one problem a call."""
    import ot

    cost, a, b = (x[:count].double().numpy() for x in read(folder, rows, cols))
    for i in range(len(cost)):
        ot.sinkhorn(a[i], b[i], cost[i], epsilon, numItermax=iterations, stopThr=0, warn=False)


serve({"scaling": scaling, "logDomain": log_domain, "pot": pot}, f"torch {torch.__version__}, 2 threads")
