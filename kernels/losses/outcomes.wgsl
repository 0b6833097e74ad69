// A distance that is a sum over outcomes, and its gradient: what all such losses
// share. A loss appends its own `term`:
//
//   fn term(v: u32, p: f32, log_q: f32) -> vec2<f32>   // d(p, q) and q ∂d/∂q
//
// of the outcome that is token v, or the whole tail. It may add bindings from 8 on.
//
// One workgroup owns one row of V logits z; thread t owns tokens t, t + WORKGROUP,
// … The teacher is K tokens with probabilities p, and a tail with the residual r.
// RESIDUAL says which outcomes there are, q = softmax(z / T) over all of them:
//
//   0  ignored  the K tokens alone, q their share of the model's mass
//   1  bucket   the K tokens, and the tail as one: r against its mass q_tail
//   2  spread   all V tokens, those of the tail with r / (V - K) each
//
//   crossEntropy = -log softmax(z)_label
//   distance     = T^2 sum_o d(p_o, q_o)
//   dlogits_v    = labelWeight (softmax(z) - onehot)_v
//                + fusedWeight T (q_v / q_o h_o - q_v sum_o h_o),  h = q ∂d/∂q,
//
// o the outcome of token v. The tail has its own maximum, so that neither
// log q_tail nor q / q_tail is lost next to a peak. dlogits serves as the mask of
// the K tokens, which are distinct, until its values are written.
//
// WGSL lets a compiler assume no infinities: maxima start at LOWEST.

override TEMPERATURE: f32;
override RESIDUAL: u32;
override WORKGROUP: u32;

const LOWEST: f32 = -1e38;
const TAIL: u32 = 0xffffffff;
const IGNORED = 0u;
const BUCKET = 1u;
const SPREAD = 2u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // [N, V]
@group(0) @binding(1) var<storage, read> labels: array<i32>;            // [N]
@group(0) @binding(2) var<storage, read> weights: array<vec2<f32>>;     // [N, 2]: label, fused
@group(0) @binding(3) var<storage, read> fused_ids: array<i32>;         // [N, K]
@group(0) @binding(4) var<storage, read> fused_probs: array<f32>;       // [N, K]
@group(0) @binding(5) var<storage, read> fused_residual: array<f32>;    // [N]
@group(0) @binding(6) var<storage, read_write> values: array<f32>;      // [N, 2]: crossEntropy, distance
@group(0) @binding(7) var<storage, read_write> dlogits: array<f32>;     // [N, V]

var<workgroup> partial: array<vec3<f32>, WORKGROUP>;

fn reduce_max(t: u32, value: vec3<f32>) -> vec3<f32> {
  partial[t] = value;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    if (t < half) { partial[t] = max(partial[t], partial[t + half]); }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier();
  return result;
}

fn reduce_sum(t: u32, value: vec3<f32>) -> vec3<f32> {
  partial[t] = value;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    if (t < half) { partial[t] += partial[t + half]; }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier();
  return result;
}

// log(sum) + top, the logarithm of a sum whose terms were divided by exp(top).
fn log_mass(sum: f32, top: f32) -> f32 {
  return select(LOWEST, log(max(sum, 1.0)) + top, sum > 0.0);
}

fn log_add(a: f32, b: f32) -> f32 {
  return max(a, b) + log(1.0 + exp(min(a, b) - max(a, b)));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.x;
  let N = arrayLength(&labels);
  let V = arrayLength(&logits) / N;
  let K = arrayLength(&fused_ids) / N;
  let base = row * V;

  for (var i = t; i < V; i += WORKGROUP) { dlogits[base + i] = 0.0; }
  storageBarrier();
  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id >= 0) { dlogits[base + u32(id)] = 1.0; }
  }
  storageBarrier();

  // Maxima of all tokens, of the tail and of the K.
  var tops = vec3(LOWEST);
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    tops = max(tops, vec3(z, select(LOWEST, z, in_tail), select(z, LOWEST, in_tail)));
  }
  tops = reduce_max(t, tops);

  // Sums of all tokens at 1, and of the tail and the K at T.
  var sums = vec3(0.0);
  var tail_count = 0.0;
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    let tempered = exp((z - select(tops.z, tops.y, in_tail)) / TEMPERATURE);
    sums += vec3(exp(z - tops.x), select(0.0, tempered, in_tail), select(tempered, 0.0, in_tail));
    tail_count += select(0.0, 1.0, in_tail);
  }
  sums = reduce_sum(t, sums);
  tail_count = reduce_sum(t, vec3(tail_count)).x;

  let has_tail = tail_count > 0.0;
  let log_z = log(sums.x);
  let log_tail = log_mass(sums.y, (tops.y - tops.x) / TEMPERATURE);
  let log_known = log_mass(sums.z, (tops.z - tops.x) / TEMPERATURE);
  var log_z_tempered = log_known;
  if (RESIDUAL != IGNORED) { log_z_tempered = log_add(log_known, log_tail); }
  let each = fused_residual[row] / max(tail_count, 1.0);

  // Values and pulls h, summed over the outcomes.
  var total = vec2(0.0);
  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id < 0) { continue; }
    let log_q = (logits[base + u32(id)] - tops.x) / TEMPERATURE - log_z_tempered;
    total += term(u32(id), fused_probs[row * K + k], log_q);
  }
  if (RESIDUAL == SPREAD) {
    for (var i = t; i < V; i += WORKGROUP) {
      if (dlogits[base + i] == 0.0) {
        total += term(i, each, (logits[base + i] - tops.x) / TEMPERATURE - log_z_tempered);
      }
    }
  }
  var tail = vec2(0.0);
  if (RESIDUAL == BUCKET && has_tail) {
    tail = term(TAIL, fused_residual[row], log_tail - log_z_tempered);
  }
  total = reduce_sum(t, vec3(total, 0.0)).xy + tail;

  let label = labels[row];
  let label_weight = select(0.0, weights[row].x, label >= 0);
  let scale = weights[row].y * TEMPERATURE;
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    let log_q = (z - tops.x) / TEMPERATURE - log_z_tempered;
    var pull = 0.0;
    if (!in_tail || RESIDUAL != IGNORED) { pull = -exp(log_q) * total.y; }
    if (in_tail && RESIDUAL == BUCKET) {
      pull += tail.y * exp((z - tops.y) / TEMPERATURE) / sums.y;
    }
    if (in_tail && RESIDUAL == SPREAD) { pull += term(i, each, log_q).y; }
    dlogits[base + i] = label_weight * exp(z - tops.x - log_z) + scale * pull;
  }
  storageBarrier();

  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id < 0) { continue; }
    let log_q = (logits[base + u32(id)] - tops.x) / TEMPERATURE - log_z_tempered;
    dlogits[base + u32(id)] += scale * term(u32(id), fused_probs[row * K + k], log_q).y;
  }
  storageBarrier();

  if (t == 0u) {
    var cross_entropy = 0.0;
    if (label >= 0) {
      let i = base + u32(label);
      cross_entropy = log_z - (logits[i] - tops.x);
      dlogits[i] -= label_weight;
    }
    values[row * 2u] = cross_entropy;
    values[row * 2u + 1u] = total.x * TEMPERATURE * TEMPERATURE;
  }
}
