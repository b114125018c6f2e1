import { useMemo, useSyncExternalStore } from 'react';

import { keepSetting } from '../../../lib/settings';
import { parseViews, type View } from './views';

const KEY = 'workspace-views';
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('storage', listener); // another tab saved one
  return () => {
    listeners.delete(listener);
    window.removeEventListener('storage', listener);
  };
}

function save(views: readonly View[]): void {
  keepSetting(KEY, JSON.stringify(views));
  for (const listener of listeners) listener();
}

/** The views that were saved, and a way to save others. */
export function useViews(): readonly [readonly View[], (views: readonly View[]) => void] {
  const text = useSyncExternalStore(subscribe, () => localStorage.getItem(KEY));
  return [useMemo(() => parseViews(text), [text]), save];
}
