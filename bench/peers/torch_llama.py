"""A Llama in torch: scores its top k, and trains with AdamW."""

import json
import math
import os
import resource
import time

os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from protocol import serve

torch.set_num_threads(2)
state = {}


def read_weights(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    weights = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        first, last = info["data_offsets"]
        array = np.frombuffer(data[first:last], np.float32).reshape(info["shape"])
        weights[name] = torch.from_numpy(array.copy())
    return weights


def norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    length = q.shape[2]
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    return scores.masked_fill(later, -math.inf).softmax(-1) @ v


def block(x, w, p, config, cos, sin):
    batch, length, width = x.shape
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size = width // heads
    h = norm(x, w[p + "input_layernorm.weight"], config["rms_norm_eps"])
    project = lambda name, count: F.linear(h, w[f"{p}self_attn.{name}.weight"]).view(batch, length, count, size).transpose(1, 2)
    q, k, v = project("q_proj", heads), project("k_proj", groups), project("v_proj", groups)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    k, v = (y.repeat_interleave(heads // groups, 1) for y in (k, v))
    mixed = attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
    x = x + F.linear(mixed, w[p + "self_attn.o_proj.weight"])
    h = norm(x, w[p + "post_attention_layernorm.weight"], config["rms_norm_eps"])
    gate, up = (F.linear(h, w[f"{p}mlp.{name}_proj.weight"]) for name in ("gate", "up"))
    return x + F.linear(F.silu(gate) * up, w[p + "mlp.down_proj.weight"])


def forward(ids, recompute=False):
    w, config = state["weights"], state["config"]
    size = config["hidden_size"] // config["num_attention_heads"]
    frequencies = config.get("rope_theta", 10000) ** (-torch.arange(0, size, 2) / size)
    angles = torch.arange(ids.shape[1])[:, None] * torch.cat((frequencies, frequencies))
    cos, sin = angles.cos(), angles.sin()
    x = F.embedding(ids, w["model.embed_tokens.weight"])
    for layer in range(config["num_hidden_layers"]):
        run = lambda x, p=f"model.layers.{layer}.": block(x, w, p, config, cos, sin)
        x = checkpoint(run, x, use_reentrant=False) if recompute else run(x)
    x = norm(x, w["model.norm.weight"], config["rms_norm_eps"])
    head = "model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return F.linear(x, w[head])


def load(directory, train=False):
    with open(f"{directory}/config.json") as file:
        state["config"] = json.load(file)
    state["weights"] = read_weights(f"{directory}/model.safetensors")
    if not train:
        return
    weights = [x.requires_grad_() for x in state["weights"].values()]
    # Fused on the CPU needs torch 2.4.
    fast = {"fused": True} if int(torch.__version__.split(".")[0]) >= 2 else {"foreach": True}
    state["optimizer"] = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0, **fast)


@torch.no_grad()
def represent(ids, batch, length, top_k):
    """Top k of every position, and the label's logprob."""
    tokens = torch.tensor(ids).view(-1, batch, length)
    start = time.perf_counter()
    total = 0.0
    for rows in tokens:
        logits = forward(rows)
        values, best = logits.topk(top_k, -1)
        normalizer = logits.logsumexp(-1, keepdim=True)
        labels = logits[:, :-1].gather(2, rows[:, 1:].unsqueeze(2)) - normalizer[:, :-1]
        np.asarray((values - normalizer).half()), np.asarray(best)
        total += labels.sum().item()
    return {"seconds": time.perf_counter() - start, "labels": total}


def step(ids, batch, length, fused=None, recompute=False):
    """Forward, loss, backward, clipping and AdamW."""
    tokens = torch.tensor(ids).view(batch, length)
    start = time.perf_counter()
    state["optimizer"].zero_grad(set_to_none=True)
    logits = forward(tokens, recompute)
    logq = torch.log_softmax(logits[:, :-1].reshape(-1, logits.shape[2]), -1)
    loss = F.nll_loss(logq, tokens[:, 1:].reshape(-1))
    if fused:
        teacher = torch.tensor(fused["ids"]).view(batch, length, -1)[:, :-1].reshape(len(logq), -1)
        probs = torch.tensor(fused["probs"]).view(batch, length, -1)[:, :-1].reshape(len(logq), -1)
        known = logq.gather(1, teacher)
        tail = (1 - known.exp().sum(1)).clamp_min(1e-6).log()
        distance = -(probs * known).sum(1) - (1 - probs.sum(1)) * tail
        loss = fused["lm_weight"] * loss + (1 - fused["lm_weight"]) * distance.mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state["weights"].values(), 1.0)
    state["optimizer"].step()
    return {"seconds": time.perf_counter() - start, "loss": loss.item(), "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def adamw(length, times):
    weight = torch.nn.Parameter(torch.ones(length))
    weight.grad = torch.full((length,), 0.01)
    fast = {"fused": True} if int(torch.__version__.split(".")[0]) >= 2 else {"foreach": True}
    optimizer = torch.optim.AdamW([weight], lr=1e-4, **fast)
    optimizer.step()
    start = time.perf_counter()
    for _ in range(times):
        optimizer.step()
    return {"seconds": (time.perf_counter() - start) / times}


serve({"load": load, "represent": represent, "step": step, "adamw": adamw}, f"torch {torch.__version__}, 2 threads")
