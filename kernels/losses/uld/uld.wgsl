// Difference of two probabilities of equal rank: d = |p - q|,
// q ∂d/∂q = q sign(q - p). See outcomes.wgsl.
fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  let q = exp(log_q);
  return vec2(abs(p - q), q * sign(q - p));
}
