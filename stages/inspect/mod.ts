/**
 * Inspect: a page that walks a text as alignment sees it.
 *
 * @module
 */
export { inspect, type InspectModel, type InspectOptions } from "./inspect.ts";
export type * from "./inspection.ts";
export { page as inspectionPage } from "./page/page.ts";
