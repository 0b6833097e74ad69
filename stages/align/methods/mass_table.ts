import type { Masses } from "./method.ts";

/** Mass that arrives token by token, added up; cleared, it serves again. */
export class MassTable implements Masses {
  /** The tokens that have arrived, in order of arrival; read up to `length`. */
  ids: Int32Array = new Int32Array(16);
  /** The mass of each. */
  masses: Float64Array = new Float64Array(16);
  /** How many have arrived. */
  length = 0;
  /** See {@linkcode Masses.marginalError}. */
  marginalError = 0;

  /**
   * Find a token.
   *
   * @param id The token.
   * @returns Where it stands, or −1.
   */
  slotOf(id: number): number {
    // They are few: a search is faster than a map.
    for (let slot = 0; slot < this.length; slot++) {
      if (this.ids[slot] === id) return slot;
    }
    return -1;
  }

  /**
   * Add mass.
   *
   * @param id The token.
   * @param mass How much arrives.
   */
  add(id: number, mass: number): void {
    const slot = this.slotOf(id);
    if (slot >= 0) this.masses[slot]! += mass;
    else this.push(id, mass);
  }

  /**
   * Add the mass of a token that has not arrived yet.
   *
   * @param id The token.
   * @param mass How much arrives.
   */
  push(id: number, mass: number): void {
    if (this.length === this.ids.length) this.#grow();
    this.ids[this.length] = id;
    this.masses[this.length++] = mass;
  }

  /** Forget all tokens. */
  clear(): void {
    this.length = 0;
    this.marginalError = 0;
  }

  #grow(): void {
    const { ids, masses } = this;
    this.ids = new Int32Array(2 * ids.length);
    this.ids.set(ids);
    this.masses = new Float64Array(2 * ids.length);
    this.masses.set(masses);
  }
}
