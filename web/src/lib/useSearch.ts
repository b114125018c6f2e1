import { useCallback, useLayoutEffect, useRef } from 'react';
import { useSearchParams } from 'react-router';

type Changes = Readonly<Record<string, string | null>>;
type Change = (changes: Changes | ((now: URLSearchParams) => Changes)) => void;

// What one leaves with the browser's Back: each is a place, not a filter.
const PLACES: ReadonlySet<string> = new Set(['tab', 'path', 'preview', 'page']);

/**
 * The parameters of the address, and a way to change some of them: null removes one. If only
 * places change, that is a step in the history, which Back takes back; anything else is none. The change applies to the address of that moment, and to nothing once the page
 * is left.
 */
export function useSearch(): readonly [URLSearchParams, Change, (next: URLSearchParams) => void] {
  const [search, setSearch] = useSearchParams();
  const now = useRef<URLSearchParams | null>(null);
  useLayoutEffect(() => {
    now.current = search;
    return () => {
      now.current = null;
    };
  }, [search]);
  const replace = useCallback(
    (next: URLSearchParams, step = false) => {
      if (now.current === null) return;
      now.current = next;
      setSearch(next, { replace: !step });
    },
    [setSearch],
  );
  const change = useCallback<Change>(
    (changes) => {
      const next = new URLSearchParams(now.current ?? undefined);
      const wanted = typeof changes === 'function' ? changes(next) : changes;
      for (const [name, value] of Object.entries(wanted)) {
        if (value === null) next.delete(name);
        else next.set(name, value);
      }
      const isChanged = next.toString() !== (now.current ?? '').toString();
      replace(next, isChanged && Object.keys(wanted).every((name) => PLACES.has(name)));
    },
    [replace],
  );
  return [search, change, replace];
}
