import {
  referenceAligner,
  type referenceMethods,
} from "#/stages/align/reference/align_reference.ts";
import type { BlockMethod } from "./method.ts";

/**
 * A published method with its defects, or with those that are switched on.
 *
 * @param method `hard` and `soft` of FuseLLM, or `soft-ot` of PTA-LLM.
 * @param description What it does, in half a line.
 * @returns The method.
 */
export function reference(
  method: keyof typeof referenceMethods,
  description: string,
): BlockMethod {
  return {
    description,
    corrected: false,
    settings: method === "soft-ot" ? ["threshold", "reference"] : ["reference"],
    blocks: ({ target, source, mapping }, { topK, ...options }) => {
      const alignBlock = referenceAligner(target, source, mapping, {
        method,
        ...options,
        ...(topK !== undefined && { logitsNumber: topK }),
      });
      return (targetRow, sourceRow) => {
        const { fallbackRows, ...row } = alignBlock(targetRow, sourceRow);
        return { row, fallbackRows };
      };
    },
  };
}
