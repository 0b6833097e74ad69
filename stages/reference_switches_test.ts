import assert from "node:assert/strict";
import { switchedOn, switchesOf } from "#/stages/reference_switches.ts";

const defects = { loud: "it shouts", slow: "it sleeps" };

Deno.test("switchesOf() switches on what is named, and nothing without a name", () => {
  assert.deepEqual(switchesOf(defects, []), { loud: false, slow: false });
  assert.deepEqual(switchesOf(defects, ["none"]), { loud: false, slow: false });
  assert.deepEqual(switchesOf(defects, ["all"]), { loud: true, slow: true });
  const both = switchesOf(defects, ["slow, loud"]);
  assert.deepEqual(switchedOn(both), { reference: "loud,slow" });
  assert.deepEqual(switchedOn(switchesOf(defects, [])), {});
});

Deno.test("switchesOf() throws if there is no such defect", () => {
  assert.throws(
    () => switchesOf(defects, ["slow,late"]),
    new RangeError(
      'Cannot switch a defect on: "late" is none, expected all, none, or some ' +
        "of loud, slow",
    ),
  );
});
