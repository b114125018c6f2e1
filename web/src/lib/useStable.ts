import { useState } from 'react';

/** The value of an earlier rendering for as long as it is the same; what depends on it rests. */
export function useStable<T>(value: T, same: (before: T, now: T) => boolean): T {
  const [kept, keep] = useState(value);
  if (kept === value || same(kept, value)) return kept;
  keep(value);
  return value;
}

/** Whether two lists have the same members. */
export function sameMembers<T>(before: readonly T[], now: readonly T[]): boolean {
  return before.length === now.length && before.every((it, index) => it === now[index]);
}
