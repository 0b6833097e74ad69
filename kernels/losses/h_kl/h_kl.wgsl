// X-Token's H-KL: p log(p / q) of an outcome that both vocabularies know, and
// |p - q| of one that is compared by rank. The tail counts as known. See
// outcomes.wgsl.
@group(0) @binding(8) var<storage, read> matched: array<u32>;          // [V]

fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  if (v != TAIL && matched[v] == 0u) {
    let q = exp(log_q);
    return vec2(abs(p - q), q * sign(q - p));
  }
  if (p <= 0.0) { return vec2(0.0); }
  return vec2(p * (log(p) - log_q), -p);
}
