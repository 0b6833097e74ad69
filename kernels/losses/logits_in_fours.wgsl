// How outcomes.wgsl reads logits and writes their gradient where V is a multiple of
// four: drivers for CPUs, which go from lane to lane, take half as long over vectors.

@group(0) @binding(0) var<storage, read> logits: array<vec4<f32>>;            // [N, V / 4]
@group(0) @binding(7) var<storage, read_write> dlogits: array<vec4<f32>>;     // [N, V / 4]

fn logit_count() -> u32 { return arrayLength(&logits) * 4u; }

fn logit(i: u32) -> f32 { return logits[i / 4u][i % 4u]; }

// Logits i to i + 3; i is a multiple of four.
fn four_logits(i: u32) -> vec4<f32> { return logits[i / 4u]; }

fn dlogit(i: u32) -> f32 { return dlogits[i / 4u][i % 4u]; }

fn set_dlogit(i: u32, gradient: f32) { dlogits[i / 4u][i % 4u] = gradient; }

fn set_four_dlogits(i: u32, gradient: vec4<f32>) { dlogits[i / 4u] = gradient; }
