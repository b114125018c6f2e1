import { useCallback, useLayoutEffect, useRef } from 'react';
import { useSearchParams } from 'react-router';

type Changes = Readonly<Record<string, string | null>>;
type Change = (changes: Changes | ((now: URLSearchParams) => Changes)) => void;

/**
 * The parameters of the address, and a way to change some of them without a step in the history:
 * null removes one. The change applies to the address of that moment, and to nothing once the page
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
    (next: URLSearchParams) => {
      if (now.current === null) return;
      now.current = next;
      setSearch(next, { replace: true });
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
      replace(next);
    },
    [replace],
  );
  return [search, change, replace];
}
