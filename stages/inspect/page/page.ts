import type { Inspection } from "#/stages/inspect/inspection.ts";
import script from "./walk.js" with { type: "text" };
import style from "./walk.css" with { type: "text" };

/** Nothing may be loaded from anywhere. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/**
 * The page: one file that needs nothing else.
 *
 * @param inspection What it shows.
 * @returns HTML.
 */
export function page(inspection: Inspection): string {
  const names = inspection.sources.map(({ name }) => name).join(", ");
  const title = escapeHtml(`${inspection.target.name} ← ${names}`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${title} · pta inspect</title>
<style>
${style}</style>
</head>
<body>
<noscript>This page draws itself with its own script; please allow it.</noscript>
<script type="application/json" id="inspection">${embedded(inspection)}</script>
<script>
${script}</script>
</body>
</html>
`;
}

/** JSON that cannot end the element it stands in. */
function embedded(inspection: Inspection): string {
  return JSON.stringify(inspection).replaceAll("<", "\\u003c");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
