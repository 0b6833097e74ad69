// A model's tempered logits z, projected onto another vocabulary by a sparse
// matrix W:
//
//   y_u = log sum_v W_vu exp(z_v / T)
//
// One workgroup owns one row; thread t owns columns t, t + WORKGROUP, … Every
// column has an entry, so that its maximum is one of them.

override TEMPERATURE: f32;
override WORKGROUP: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // [N, V]
@group(0) @binding(1) var<storage, read> offsets: array<u32>;           // [U + 1]
@group(0) @binding(2) var<storage, read> tokens: array<u32>;            // [E], v
@group(0) @binding(3) var<storage, read> log_weights: array<f32>;       // [E]
@group(0) @binding(4) var<storage, read_write> projected: array<f32>;   // [N, U]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let U = arrayLength(&offsets) - 1u;
  let V = arrayLength(&logits) / (arrayLength(&projected) / U);
  let base = group.x * V;
  for (var u = t; u < U; u += WORKGROUP) {
    let first = offsets[u];
    let end = offsets[u + 1u];
    var top = log_weights[first] + logits[base + tokens[first]] / TEMPERATURE;
    for (var k = first + 1u; k < end; k++) {
      top = max(top, log_weights[k] + logits[base + tokens[k]] / TEMPERATURE);
    }
    var sum = 0.0;
    for (var k = first; k < end; k++) {
      sum += exp(log_weights[k] + logits[base + tokens[k]] / TEMPERATURE - top);
    }
    projected[group.x * U + u] = top + log(sum);
  }
}
