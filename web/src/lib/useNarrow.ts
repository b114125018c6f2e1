import { useSyncExternalStore } from 'react';

/** The widest window, in pixels, that shows a page without room for anything beside it. */
export const NARROW = 700;

const query = window.matchMedia(`(width <= ${NARROW}px)`);

function subscribe(changed: () => void): () => void {
  query.addEventListener('change', changed);
  return () => query.removeEventListener('change', changed);
}

/** Whether the window is as narrow as a telephone's. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches);
}
