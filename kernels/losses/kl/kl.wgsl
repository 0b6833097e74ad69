// Kullback-Leibler divergence from model to teacher, of one outcome:
// d = p log(p / q), q ∂d/∂q = -p. See outcomes.wgsl.
fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  if (p <= 0.0) { return vec2(0.0); }
  return vec2(p * (log(p) - log_q), -p);
}
