// The gradient of what project.wgsl has projected, by the model's logits:
//
//   dlogits_v = T sum_u W_vu exp(z_v / T - y_u) dy_u
//
// where dy sums to 0 over a row, and the loss is multiplied by T^2. One workgroup
// owns one row; thread t owns tokens t, t + WORKGROUP, …

override TEMPERATURE: f32;
override WORKGROUP: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // [N, V]
@group(0) @binding(1) var<storage, read> projected: array<f32>;         // [N, U]
@group(0) @binding(2) var<storage, read> dprojected: array<f32>;        // [N, U]
@group(0) @binding(3) var<storage, read> offsets: array<u32>;           // [V + 1]
@group(0) @binding(4) var<storage, read> tokens: array<u32>;            // [E], u
@group(0) @binding(5) var<storage, read> log_weights: array<f32>;       // [E]
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;     // [N, V]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let V = arrayLength(&offsets) - 1u;
  let U = arrayLength(&projected) / (arrayLength(&logits) / V);
  let base = group.x * V;
  for (var v = t; v < V; v += WORKGROUP) {
    let z = logits[base + v] / TEMPERATURE;
    var pull = 0.0;
    for (var k = offsets[v]; k < offsets[v + 1u]; k++) {
      let u = group.x * U + tokens[k];
      pull += exp(log_weights[k] + z - projected[u]) * dprojected[u];
    }
    dlogits[base + v] = TEMPERATURE * pull;
  }
}
