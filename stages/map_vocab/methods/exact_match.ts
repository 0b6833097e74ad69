import type { TokenMethod } from "./method.ts";

/** Map nothing but what is there, to the byte or by role. */
export const exactMatch: TokenMethod = {
  description: "has no image",
  settings: [],
  tokens: () => ({ images: () => [] }),
};
