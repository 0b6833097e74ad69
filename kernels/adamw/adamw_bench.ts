import { adamw, allocateAdamw } from "#/kernels/adamw/adamw.ts";
import { type AdamwArrays, adamwCpu } from "#/kernels/adamw/adamw_cpu.ts";

// A small model's weights as one array.
const length = 1 << 20;
const arrays: AdamwArrays = {
  param: new Float32Array(length).fill(1),
  grad: Float32Array.from({ length }, (_, i) => ((i * 7919) % 9 - 4) / 100),
  m: new Float32Array(length),
  v: new Float32Array(length),
};
const options = { step: 1, learningRate: 1e-9 };
const group = "1 Mi parameters";

Deno.bench("adamwCpu()", { group, baseline: true }, () => {
  adamwCpu(arrays, options);
});

Deno.bench("adamw(), ordinary arrays", { group }, () => {
  adamw(arrays, options);
});

const [allocated] = allocateAdamw([length]);
allocated!.param.fill(1);
allocated!.grad.set(arrays.grad);

Deno.bench("adamw(), arrays of allocateAdamw()", { group }, () => {
  adamw(allocated!, options);
});
