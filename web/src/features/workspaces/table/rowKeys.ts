/** Which row of a table shows what; `next` is the first number that no row has had. */
export interface RowKeys {
  readonly keys: ReadonlyMap<string, string>;
  readonly next: number;
}

export const NO_ROWS: RowKeys = { keys: new Map(), next: 0 };

/**
 * The keys of rows for React. A row keeps its key while it is shown: focus stays with its
 * workspace, or is lost with it, and an open popover too. Only who leaves all rows for others,
 * with the pager, has them used again from the top (`again`): to change what 50 rows say takes
 * half as long as to make 50 new ones.
 */
export function rowKeys(before: RowKeys, ids: readonly string[], again: boolean): RowKeys {
  const rows = again ? [...before.keys.values()] : [];
  let { next } = before;
  const keys = new Map<string, string>();
  for (const [at, id] of ids.entries()) {
    keys.set(id, rows[at] ?? (again ? undefined : before.keys.get(id)) ?? `#${next++}`);
  }
  return { keys, next };
}
