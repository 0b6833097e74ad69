// Cross-entropy with a label and with a sparse teacher, and its gradient.
//
// One workgroup owns one row of V logits z; thread t owns tokens t, t + WORKGROUP,
// … The teacher is K tokens with probabilities p and one bucket, the tail, with
// the residual r. With q = softmax(z / T) and q_tail its mass outside the K:
//
//   crossEntropy = -log softmax(z)_label
//   distance     = T^2 (-sum_k p_k log q_k - r log q_tail)
//   dlogits      = labelWeight (softmax(z) - onehot)
//                + fusedWeight T (q - p           on the K tokens,
//                                 q - r q / q_tail elsewhere)
//
// where q is scaled by sum p + r, which is 1 but for rounding. The tail has its
// own maximum, so that neither log q_tail nor q / q_tail is lost next to a peak.
// dlogits serves as the mask of the K tokens until its values are written.
//
// WGSL lets a compiler assume no infinities: maxima start at LOWEST.

override V: u32;
override K: u32;
override TEMPERATURE: f32;
override WORKGROUP: u32;

const LOWEST: f32 = -1e38;

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

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.x;
  let base = row * V;

  for (var i = t; i < V; i += WORKGROUP) { dlogits[base + i] = 0.0; }
  storageBarrier();
  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id >= 0) { dlogits[base + u32(id)] = 1.0; }
  }
  storageBarrier();

  // Maxima of all tokens and of the tail.
  var tops = vec3(LOWEST);
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    tops = max(tops, vec3(z, select(LOWEST, z, in_tail), LOWEST));
  }
  tops = reduce_max(t, tops);

  // Sums of all tokens at 1 and at T, and of the tail at T.
  var sums = vec3(0.0);
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    let tail = select(0.0, exp((z - tops.y) / TEMPERATURE), in_tail);
    sums += vec3(exp(z - tops.x), exp((z - tops.x) / TEMPERATURE), tail);
  }
  sums = reduce_sum(t, sums);

  let has_tail = sums.z > 0.0;
  let residual = select(0.0, fused_residual[row], has_tail);
  let log_z = log(sums.x);
  let log_z_tempered = log(sums.y);
  var mass = residual;
  for (var k = 0u; k < K; k++) {
    let padding = fused_ids[row * K + k] < 0;
    mass += select(fused_probs[row * K + k], 0.0, padding);
  }

  let label = labels[row];
  let label_weight = select(0.0, weights[row].x, label >= 0);
  let scale = weights[row].y * TEMPERATURE;
  let tail_share = select(0.0, residual / sums.z, has_tail);
  for (var i = t; i < V; i += WORKGROUP) {
    let z = logits[base + i];
    let in_tail = dlogits[base + i] == 0.0;
    let tail = select(0.0, tail_share * exp((z - tops.y) / TEMPERATURE), in_tail);
    let q = exp((z - tops.x) / TEMPERATURE - log_z_tempered);
    dlogits[base + i] = label_weight * exp(z - tops.x - log_z) + scale * (mass * q - tail);
  }
  storageBarrier();

  if (t == 0u) {
    var cross_entropy = 0.0;
    if (label >= 0) {
      let i = base + u32(label);
      cross_entropy = log_z - (logits[i] - tops.x);
      dlogits[i] -= label_weight;
    }
    var distance = 0.0;
    if (has_tail) {
      let log_tail = log(sums.z) + (tops.y - tops.x) / TEMPERATURE - log_z_tempered;
      distance = -residual * log_tail;
    }
    for (var k = 0u; k < K; k++) {
      let id = fused_ids[row * K + k];
      if (id < 0) { continue; }
      let i = base + u32(id);
      let p = fused_probs[row * K + k];
      distance += p * (log_z_tempered - (logits[i] - tops.x) / TEMPERATURE);
      dlogits[i] -= scale * p;
    }
    values[row * 2u] = cross_entropy;
    values[row * 2u + 1u] = distance * TEMPERATURE * TEMPERATURE;
  }
}
