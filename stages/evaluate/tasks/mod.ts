import { choices } from "./choices.ts";
import type { Task } from "./task.ts";
import { text } from "./text.ts";

/** Every task by its flag: to add one, write its file and a line here. */
export const tasks = { text, choices } satisfies Record<string, Task>;
