"""Cross-entropy and a sparse teacher's cross-entropy with a residual bucket, in torch, forward and backward."""

import os
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")

import numpy as np
import torch

from protocol import serve

torch.set_num_threads(2)
state = {}
head = {}


def load(folder, rows, vocab, top, hidden):
    read = lambda name, dtype: torch.from_numpy(np.fromfile(f"{folder}/{name}", dtype))
    state.update(
        logits=read("logits", np.float32).view(rows, vocab).requires_grad_(),
        labels=read("labels", np.int32).long(),
        label_weight=read("labelWeight", np.float32),
        ids=read("fusedIds", np.int32).long().view(rows, top),
        probs=read("fusedProbs", np.float32).view(rows, top),
        residual=read("fusedResidual", np.float32),
        weight=read("fusedWeight", np.float32),
    )
    torch.manual_seed(1)
    head.update(
        x=(torch.rand(rows, hidden) - 0.5).requires_grad_(),
        w=(torch.rand(vocab, hidden) - 0.5).requires_grad_(),
        seed=torch.rand(rows, vocab),
    )


def sparse_loss(logits, labels, label_weight, ids, probs, residual, weight):
    logq = torch.log_softmax(logits, -1)
    cross_entropy = -logq.gather(1, labels.unsqueeze(1)).squeeze(1)
    known = logq.gather(1, ids)
    # What is left for the tail; near 0 it is all round-off.
    tail = (1 - known.exp().sum(1)).clamp_min(1e-6).log()
    distance = -(probs * known).sum(1) - residual * tail
    return (label_weight * cross_entropy + weight * distance).sum()


def dense_loss(logits, labels, label_weight, ids, probs, residual, weight):
    """As published: the teacher as a dense array, its tail left out."""
    logq = torch.log_softmax(logits, -1)
    cross_entropy = -logq.gather(1, labels.unsqueeze(1)).squeeze(1)
    teacher = torch.zeros_like(logits).scatter_(1, ids, probs)
    return (label_weight * cross_entropy - weight * (teacher * logq).sum(1)).sum()


def run(form):
    state["logits"].grad = None
    start = time.perf_counter()
    loss = {"sparse": sparse_loss, "dense": dense_loss}[form](**state)
    loss.backward()
    return {"seconds": time.perf_counter() - start, "loss": loss.item(), "gradient": state["logits"].grad.norm().item()}


def run_head(loss):
    """Forward and backward through a head: from the loss, or from a given gradient."""
    head["x"].grad = head["w"].grad = None
    start = time.perf_counter()
    logits = head["x"] @ head["w"].T
    if loss:
        sparse_loss(**{**state, "logits": logits}).backward()
    else:
        logits.backward(head["seed"])
    return {"seconds": time.perf_counter() - start}


serve({"load": load, "run": run, "head": run_head}, f"torch {torch.__version__}, 2 threads")
