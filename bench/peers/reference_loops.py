"""What FuseLLM and PTA-LLM compute per sequence, loop for loop, in plain Python and numpy.

Written anew from what the published functions do (PTA-LLM, commit 87d6eda); golden data tell that
they give the same. They are slow the way the published ones are: a Python call for every cell of the
warping, a Python loop over positions, one small numpy problem after another.
"""

import numpy as np

from edits import edits


def warp(source, target, cost):
    """Dynamic time warping: the path, its cost, and whom every position met."""
    table = np.full((len(source) + 1, len(target) + 1), np.inf)
    table[0, 0] = 0
    for i, left in enumerate(source, 1):
        for j, right in enumerate(target, 1):
            before = min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
            table[i, j] = before + cost(left, right)
    i, j = len(source), len(target)
    path = []
    met_by_source = [[] for _ in source]
    met_by_target = [[] for _ in target]
    while True:
        path.append((i - 1, j - 1))
        met_by_source[i - 1].append(j - 1)
        met_by_target[j - 1].append(i - 1)
        if i == 1 and j == 1:
            break
        step = np.argmin([table[i - 1, j - 1], table[i - 1, j], table[i, j - 1]])
        if step != 2:
            i -= 1
        if step != 1:
            j -= 1
    for met in (path, *met_by_source, *met_by_target):
        met.reverse()
    return path, table[-1, -1], met_by_source, met_by_target


def bare_cost(source_marker, target_marker):
    """Edit distance without word markers."""

    def cost(left, right):
        return edits(left.replace(source_marker, ""), right.replace(target_marker, ""))

    return cost


def sinkhorn(cost, a, b, lam=30, threshold=1e-5):
    """Scales rows and columns in turn until row sums stand still: plan, cost, sweeps."""
    plan = np.exp(-lam * cost)
    plan /= plan.sum()
    sums = np.zeros(len(a))
    sweeps = 0
    while np.max(np.abs(sums - plan.sum(1))) > threshold:
        sums = np.maximum(plan.sum(1), 1e-10)
        plan *= (a / sums).reshape((-1, 1))
        columns = np.maximum(plan.sum(0), 1e-10)
        plan *= (b / columns).reshape((1, -1))
        sweeps += 1
    return plan, np.sum(plan * cost), sweeps


def softmax(logits):
    shares = np.exp(np.array(logits) - np.max(logits))
    return shares / shares.sum()


class Transform:
    """Rewrites a source's rows over the target's vocabulary."""

    def __init__(self, target_tokens, source_tokens, markers, mapping):
        self.target_tokens = target_tokens
        self.source_tokens = source_tokens
        self.target_ids = {token: k for k, token in reversed(list(enumerate(target_tokens)))}
        self.target_marker, self.source_marker = markers
        self.mapping = mapping

    def respelled(self, k):
        return self.source_tokens[k].replace(self.source_marker, self.target_marker)

    def facing(self, target, source, soft):
        """The source row that faces each target row, or None."""
        ours = [self.target_tokens[k] for k in target["ids"]]
        theirs = [self.source_tokens[k] for k in source["ids"]]
        cost = bare_cost(self.source_marker, self.target_marker)
        _, _, by_source, by_target = warp(theirs, ours, cost)
        pairs = []
        for t, met in enumerate(by_target):
            pairs.append(None)
            if len(met) != 1:
                continue
            wanted = ours[t]
            spelling = self.respelled(source["ids"][met[0]])
            if (
                t == 0
                and self.source_marker == "\u0120"
                and wanted.startswith(self.target_marker)
                and not spelling.startswith(self.target_marker)
            ):
                spelling = self.target_marker + spelling
            if spelling == wanted or (soft and self.mapping.get(spelling) == wanted):
                pairs[t] = met[0]
        return pairs

    def images(self, ids, logits, soft):
        """Different images of a row's candidates in the target's vocabulary, and their logits."""
        found = {}
        for k, logit in zip(ids, logits):
            spelling = self.respelled(k)
            image = self.mapping.get(spelling) if soft else spelling
            if image in self.target_ids and image not in found:
                found[image] = logit
        return found

    def rows(self, target, source, method, threshold=1e-5, top=10):
        """Ids and values of every target row; `method` is hard, soft or ot."""
        soft = method != "hard"
        result = []
        for t, s in enumerate(self.facing(target, source, soft)):
            if s is None:
                result.append(([target["ids"][t]], [1.0]))
                continue
            images = self.images(source["topk_ids"][s], source["topk_logits"][s], soft)
            step = None
            if method == "ot" and min(len(images), len(target["topk_ids"][t])) >= top:
                step = self.transported(images, target, t, source["topk_logits"][s], threshold, top)
            if step is None:
                step = ([self.target_ids[image] for image in images], list(images.values()))
            result.append(step)
        return result

    def transported(self, images, target, t, source_logits, threshold, top):
        columns = [self.target_tokens[k] for k in target["topk_ids"][t]][:top]
        rows = list(images)[:top]
        cost = np.zeros((len(rows), len(columns)))
        distance = bare_cost(self.source_marker, self.target_marker)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                cost[i, j] = distance(row, column)
        a = softmax(source_logits)[:top]
        b = softmax(target["topk_logits"][t])[:top]
        plan, _, _ = sinkhorn(cost, a, b, threshold=threshold)
        arrived = {}
        for i in range(len(rows)):
            best = int(np.argmax(plan[i]))
            arrived[best] = arrived.get(best, 0) + float(plan[i, best])
        if not all(mass >= 0 for mass in arrived.values()):
            return None
        return [self.target_ids[columns[j]] for j in arrived], list(arrived.values())


def nearest_tokens(token, target_tokens, target_set, source_marker, target_marker):
    """The target tokens at the least edit distance: spelling, tokens, distance."""
    spelling = token.replace(source_marker, target_marker)
    if spelling in target_set:
        return spelling, [spelling], 0
    distances = [edits(spelling, other) for other in target_tokens]
    least = min(distances)
    return spelling, [o for o, d in zip(target_tokens, distances) if d == least], least
