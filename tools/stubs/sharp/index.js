// transformers.js imports sharp statically, for images; pta reads none.

/** Stands in for sharp. */
export default function sharp() {
  throw new TypeError(
    "Cannot read an image: sharp is a stub here, expected text only",
  );
}
