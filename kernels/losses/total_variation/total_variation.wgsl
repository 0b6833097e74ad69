// Total variation of one outcome: d = |p - q| / 2, q ∂d/∂q = q sign(q - p) / 2.
// See outcomes.wgsl.
fn term(v: u32, p: f32, log_q: f32) -> vec2<f32> {
  let q = exp(log_q);
  return 0.5 * vec2(abs(p - q), q * sign(q - p));
}
