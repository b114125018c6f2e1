import type { Instance } from '../api/client';

/**
 * The workspaces of a table, for cells that follow their own: a change draws the cells of one
 * row. Drawing all 50 rows takes about as long as the pause between two changes of a busy class.
 */
export class LiveRows {
  #rows: ReadonlyMap<string, Instance> = new Map();
  readonly #followers = new Map<string, Set<() => void>>();

  /** Take the newest list, and notify the cells whose workspace is another object in it. */
  show(list: readonly Instance[]): void {
    const before = this.#rows;
    this.#rows = new Map(list.map((it) => [it.workspace, it]));
    for (const [id, listeners] of this.#followers) {
      if (before.get(id) !== this.#rows.get(id)) for (const listener of listeners) listener();
    }
  }

  /** The workspace with that id, as the newest list has it. */
  get(id: string): Instance | undefined {
    return this.#rows.get(id);
  }

  /** Calls `changed` at each change of the workspace, until the returned function is called. */
  follow(id: string, changed: () => void): () => void {
    const listeners = this.#followers.get(id) ?? new Set();
    this.#followers.set(id, listeners.add(changed));
    return () => {
      listeners.delete(changed);
      if (listeners.size === 0) this.#followers.delete(id);
    };
  }
}
