// A distance that is a sum over outcomes, and its gradient: what all such losses
// share. A loss appends its own `term`:
//
//   fn term(v: u32, p: f32, log_q: f32) -> vec2<f32>   // d(p, q) and q ∂d/∂q
//
// of the outcome that is token v, or the whole tail. It may add bindings from 8 on.
//
// One workgroup owns one row of V logits z, which its threads take by fours in turn:
// logits_in_fours.wgsl or logits_one_by_one.wgsl says how. The teacher is K tokens with probabilities p, and a tail with the residual r.
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
// o the outcome of token v. The logits are read twice: once for the tail's maximum
// and, under it, its sums, once for the gradient. The K tokens, which come sorted,
// cut the row into segments of the tail, so that few tokens are asked what they are;
// the gradient is first written as if all were of the tail. That the tail has a
// maximum of its own keeps log q_tail and q / q_tail exact next to a peak; at
// temperature 1 its gradient is one factor times exp(z - maximum).
//
// Sixteen logits at a time share a maximum, and none is asked for under an if: a
// driver for CPUs runs both of its sides.
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

@group(0) @binding(1) var<storage, read> labels: array<i32>;            // [N]
@group(0) @binding(2) var<storage, read> weights: array<vec2<f32>>;     // [N, 2]: label, fused
@group(0) @binding(3) var<storage, read> fused_ids: array<i32>;         // [N, K], ascending
@group(0) @binding(4) var<storage, read> fused_probs: array<f32>;       // [N, K]
@group(0) @binding(5) var<storage, read> fused_residual: array<f32>;    // [N]
@group(0) @binding(6) var<storage, read_write> values: array<f32>;      // [N, 2]: crossEntropy, distance

// The largest logit of some tokens, and the sums of exp(z - largest) at temperature
// 1 and T, the latter in use where T is not 1.
var<workgroup> partial: array<vec3<f32>, WORKGROUP>;

fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
  let top = max(a.x, b.x);
  let by = vec2(a.x, b.x) - top;
  let sum = dot(vec2(a.y, b.y), exp(by));
  if (TEMPERATURE == 1.0) { return vec3(top, sum, sum); }
  return vec3(top, sum, dot(vec2(a.z, b.z), exp(by / TEMPERATURE)));
}

// The same under a maximum that is at least those of z.
fn raised(mass: vec3<f32>, z: vec4<f32>) -> vec3<f32> {
  return joined(mass, vec3(max(max(z.x, z.y), max(z.z, z.w)), 0.0, 0.0));
}

// With z added, which the maximum is not below.
fn with_four(mass: vec3<f32>, z: vec4<f32>) -> vec3<f32> {
  let sum = mass.y + dot(exp(z - mass.x), vec4(1.0));
  if (TEMPERATURE == 1.0) { return vec3(mass.x, sum, sum); }
  return vec3(mass.x, sum, mass.z + dot(exp((z - mass.x) / TEMPERATURE), vec4(1.0)));
}

fn reduce_mass(t: u32, value: vec3<f32>) -> vec3<f32> {
  partial[t] = value;
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    if (t < half) { partial[t] = joined(partial[t], partial[t + half]); }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier();
  return result;
}

fn reduce_sum(t: u32, value: vec2<f32>) -> vec2<f32> {
  partial[t] = vec3(value, 0.0);
  workgroupBarrier();
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    if (t < half) { partial[t] += partial[t + half]; }
    workgroupBarrier();
  }
  let result = partial[0].xy;
  workgroupBarrier();
  return result;
}

// log of a sum whose terms were divided by exp(top).
fn log_mass(sum: f32, top: f32) -> f32 {
  return select(LOWEST, log(max(sum, 1e-37)) + top, sum > 0.0);
}

fn log_add(a: f32, b: f32) -> f32 {
  return max(a, b) + log(1.0 + exp(min(a, b) - max(a, b)));
}

// Where the tail goes on after teacher token k - 1, and where it ends before token k.
fn segment(row: u32, k: u32, K: u32, V: u32) -> vec2<u32> {
  var ends = vec2(0u, V);
  if (k > 0u) { ends.x = u32(fused_ids[row * K + k - 1u] + 1); }
  if (k < K) { ends.y = u32(max(fused_ids[row * K + k], 0)); }
  return ends;
}

// Thread t's share of the tokens from first to end - 1 of a row.
fn mass_of(t: u32, base: u32, first: u32, end: u32, before: vec3<f32>) -> vec3<f32> {
  let stride = 4u * WORKGROUP;
  var mass = before;
  var i = first / 4u * 4u;
  if (i < first) {
    let z = four_logits(base + i);
    let at = i + vec4(0u, 1u, 2u, 3u);
    let inside = (at >= vec4(first)) & (at < vec4(end)) & vec4(t == 0u);
    let own = select(vec4(LOWEST), z, inside);
    mass = with_four(raised(mass, own), own);
    i += 4u;
  }
  for (; i + 4u * stride <= end; i += 4u * stride) {
    let at = base + i + 4u * t;
    let a = four_logits(at);
    let b = four_logits(at + stride);
    let c = four_logits(at + 2u * stride);
    let d = four_logits(at + 3u * stride);
    mass = raised(mass, max(max(a, b), max(c, d)));
    mass = with_four(with_four(with_four(with_four(mass, a), b), c), d);
  }
  for (; i < end; i += stride) {
    let at = i + 4u * t + vec4(0u, 1u, 2u, 3u);
    let z = four_logits(base + min(at.x, (end - 1u) / 4u * 4u));
    let own = select(vec4(LOWEST), z, at < vec4(end));
    mass = with_four(raised(mass, own), own);
  }
  return mass;
}

// What the gradient of a row's tail is made of.
struct Factors {
  dense: vec2<f32>, // of exp(z - tail_top) at temperatures 1 and T
  tail_top: f32,
  each: f32,        // the teacher's share of a token of a tail that is spread
  scale: f32,
  top: f32,
  log_z_tempered: f32,
}

// Gradient of the tail's tokens v to v + 3. Others may lie far above its maximum:
// anything finite will do for them.
fn tail_gradient(v: u32, z: vec4<f32>, factors: Factors) -> vec4<f32> {
  let below = min(z - factors.tail_top, vec4(0.0));
  var gradient = factors.dense.x * exp(below);
  if (TEMPERATURE != 1.0) { gradient += factors.dense.y * exp(below / TEMPERATURE); }
  if (RESIDUAL == SPREAD) {
    for (var c = 0u; c < 4u; c++) {
      let log_q = (z[c] - factors.top) / TEMPERATURE - factors.log_z_tempered;
      gradient[c] += factors.scale * term(v + c, factors.each, log_q).y;
    }
  }
  return gradient;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.x;
  let N = arrayLength(&labels);
  let V = logit_count() / N;
  let K = arrayLength(&fused_ids) / N;
  let base = row * V;

  var mass = vec3(LOWEST, 0.0, 0.0);
  for (var k = 0u; k <= K; k++) {
    let ends = segment(row, k, K, V);
    mass = mass_of(t, base, ends.x, ends.y, mass);
  }
  let tail_mass = reduce_mass(t, mass);
  mass = vec3(LOWEST, 0.0, 0.0);
  var known = 0.0;
  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id < 0) { continue; }
    mass = joined(mass, vec3(logit(base + u32(id)), 1.0, 1.0));
    known += 1.0;
  }
  let known_mass = reduce_mass(t, mass);
  known = reduce_sum(t, vec2(known)).x;

  // All logarithms are relative to the row's largest logit.
  let top = max(tail_mass.x, known_mass.x);
  let tail_top = tail_mass.x - top;
  let known_top = known_mass.x - top;
  let log_z = log_add(log_mass(tail_mass.y, tail_top), log_mass(known_mass.y, known_top));
  let log_tail = log_mass(tail_mass.z, tail_top / TEMPERATURE);
  var log_z_tempered = log_mass(known_mass.z, known_top / TEMPERATURE);
  if (RESIDUAL != IGNORED) { log_z_tempered = log_add(log_z_tempered, log_tail); }
  let tail_count = f32(V) - known;
  let has_tail = tail_count > 0.0;
  let each = fused_residual[row] / max(tail_count, 1.0);

  // Values and pulls h, summed over the outcomes.
  var total = vec2(0.0);
  for (var k = t; k < K; k += WORKGROUP) {
    let id = fused_ids[row * K + k];
    if (id < 0) { continue; }
    let log_q = (logit(base + u32(id)) - top) / TEMPERATURE - log_z_tempered;
    total += term(u32(id), fused_probs[row * K + k], log_q);
  }
  if (RESIDUAL == SPREAD) {
    for (var k = 0u; k <= K; k++) {
      let ends = segment(row, k, K, V);
      for (var i = ends.x + t; i < ends.y; i += WORKGROUP) {
        total += term(i, each, (logit(base + i) - top) / TEMPERATURE - log_z_tempered);
      }
    }
  }
  var tail = vec2(0.0);
  if (RESIDUAL == BUCKET && has_tail) {
    tail = term(TAIL, fused_residual[row], log_tail - log_z_tempered);
  }
  total = reduce_sum(t, total) + tail;

  let label = labels[row];
  let label_weight = select(0.0, weights[row].x, label >= 0);
  let scale = weights[row].y * TEMPERATURE;

  // Factors of exp(z - tail's top) at temperatures 1 and T.
  var plain = label_weight * exp(tail_top - log_z);
  var tempered = 0.0;
  if (RESIDUAL != IGNORED) {
    tempered = -scale * total.y * exp(tail_top / TEMPERATURE - log_z_tempered);
  }
  if (RESIDUAL == BUCKET && has_tail) { tempered += scale * tail.y / tail_mass.z; }
  if (TEMPERATURE == 1.0) { plain += tempered; }
  let factors = Factors(vec2(plain, tempered), tail_mass.x, each, scale, top, log_z_tempered);
  let stride = 4u * WORKGROUP;
  let fours = V / 4u * 4u;
  var i = 4u * t;
  for (; i + 3u * stride < fours; i += 4u * stride) {
    let a = four_logits(base + i);
    let b = four_logits(base + i + stride);
    let c = four_logits(base + i + 2u * stride);
    let d = four_logits(base + i + 3u * stride);
    set_four_dlogits(base + i, tail_gradient(i, a, factors));
    set_four_dlogits(base + i + stride, tail_gradient(i + stride, b, factors));
    set_four_dlogits(base + i + 2u * stride, tail_gradient(i + 2u * stride, c, factors));
    set_four_dlogits(base + i + 3u * stride, tail_gradient(i + 3u * stride, d, factors));
  }
  for (; i < fours; i += stride) {
    set_four_dlogits(base + i, tail_gradient(i, four_logits(base + i), factors));
  }
  for (i = fours + t; i < V; i += WORKGROUP) {
    set_dlogit(base + i, tail_gradient(i, vec4(logit(base + i)), factors).x);
  }
  storageBarrier();

  // Tokens of one four are one thread's: a write to one may touch all.
  for (var k = t; k < K; k += WORKGROUP) {
    let four = fused_ids[row * K + k] >> 2u;
    if (k > 0u && fused_ids[row * K + k - 1u] >> 2u == four) { continue; }
    for (var j = k; j < K; j++) {
      let id = fused_ids[row * K + j];
      if (id >> 2u != four) { break; }
      if (id < 0) { continue; }
      let z = logit(base + u32(id)) - top;
      let log_q = z / TEMPERATURE - log_z_tempered;
      let pull = term(u32(id), fused_probs[row * K + j], log_q).y - total.y * exp(log_q);
      set_dlogit(base + u32(id), label_weight * exp(z - log_z) + scale * pull);
    }
  }
  storageBarrier();

  if (t == 0u) {
    var cross_entropy = 0.0;
    if (label >= 0) {
      let i = base + u32(label);
      cross_entropy = log_z - (logit(i) - top);
      set_dlogit(i, dlogit(i) - label_weight);
    }
    values[row * 2u] = cross_entropy;
    values[row * 2u + 1u] = total.x * TEMPERATURE * TEMPERATURE;
  }
}
