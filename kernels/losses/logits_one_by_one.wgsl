// How outcomes.wgsl reads logits and writes their gradient where V is no multiple
// of four.

@group(0) @binding(0) var<storage, read> logits: array<f32>;            // [N, V]
@group(0) @binding(7) var<storage, read_write> dlogits: array<f32>;     // [N, V]

fn logit_count() -> u32 { return arrayLength(&logits); }

fn logit(i: u32) -> f32 { return logits[i]; }

// Logits i to i + 3; the last one instead of any beyond it.
fn four_logits(i: u32) -> vec4<f32> {
  let at = min(i + vec4(0u, 1u, 2u, 3u), vec4(arrayLength(&logits) - 1u));
  return vec4(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
}

fn dlogit(i: u32) -> f32 { return dlogits[i]; }

fn set_dlogit(i: u32, gradient: f32) { dlogits[i] = gradient; }

fn set_four_dlogits(i: u32, gradient: vec4<f32>) {
  dlogits[i] = gradient.x;
  dlogits[i + 1u] = gradient.y;
  dlogits[i + 2u] = gradient.z;
  dlogits[i + 3u] = gradient.w;
}
