// Cross-entropy of an outcome: d = -p log q, q ∂d/∂q = -p. See outcomes.wgsl.
fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  return -p * vec2(log_q, 1.0);
}
