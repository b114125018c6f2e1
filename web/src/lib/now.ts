import { useSyncExternalStore } from 'react';

const TICK = 5_000; // milliseconds between two looks at the clock; no request is made

let now = Date.now();
let timer: ReturnType<typeof setTimeout> | undefined;
const readers = new Set<() => void>();

function tick(): void {
  now = Date.now();
  for (const read of readers) read();
  timer = setTimeout(tick, TICK);
}

function subscribe(read: () => void): () => void {
  if (readers.size === 0) {
    now = Date.now();
    timer = setTimeout(tick, TICK);
  }
  readers.add(read);
  return () => {
    readers.delete(read);
    if (readers.size === 0) clearTimeout(timer);
  };
}

/** The time, some seconds old at most. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}
