import { useCallback, useMemo, useSyncExternalStore } from 'react';

import { keepSetting } from '../../../lib/settings';

const KEY = 'workspace-columns'; // what the daemon keeps for this browser's next address
const listeners = new Set<() => void>();

export interface ColumnChoice {
  readonly id: string;
  readonly visible: boolean;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('storage', listener); // another tab chose
  return () => {
    listeners.delete(listener);
    window.removeEventListener('storage', listener);
  };
}

/** The names of the columns in order that were chosen, and a way to choose others. */
export function useColumns(
  ids: readonly string[],
  usual: ReadonlySet<string>,
): readonly [readonly ColumnChoice[], (columns: readonly ColumnChoice[]) => void] {
  const text = useSyncExternalStore(subscribe, () => localStorage.getItem(KEY));
  const columns = useMemo(() => columnsOf(text, ids, usual), [text, ids, usual]);
  const choose = useCallback((chosen: readonly ColumnChoice[]) => {
    keepSetting(KEY, JSON.stringify(chosen.filter((it) => it.visible).map((it) => it.id)));
    for (const listener of listeners) listener();
  }, []);
  return [columns, choose];
}

/** Those that were chosen, in their order, then the others. */
export function columnsOf(
  text: string | null,
  ids: readonly string[],
  usual: ReadonlySet<string>,
): readonly ColumnChoice[] {
  const chosen = chosenOf(text).filter((id) => ids.includes(id));
  if (chosen.length === 0) return ids.map((id) => ({ id, visible: usual.has(id) }));
  const rest = ids.filter((id) => !chosen.includes(id));
  return [
    ...chosen.map((id) => ({ id, visible: true })),
    ...rest.map((id) => ({ id, visible: false })),
  ];
}

function chosenOf(text: string | null): readonly string[] {
  try {
    const stored: unknown = JSON.parse(text ?? 'null');
    return Array.isArray(stored) ? stored.filter((it) => typeof it === 'string') : [];
  } catch {
    return [];
  }
}
