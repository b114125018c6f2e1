import { useCallback } from 'react';
import { useSearchParams } from 'react-router';

/** The parameters of the address, and a way to change some without a step in the history. */
export function useSearch(): readonly [
  URLSearchParams,
  (changes: Readonly<Record<string, string | null>>) => void,
  (next: URLSearchParams) => void,
] {
  const [search, setSearch] = useSearchParams();
  const change = useCallback(
    (changes: Readonly<Record<string, string | null>>) =>
      setSearch(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes)) {
            if (value === null || value === '') next.delete(name);
            else next.set(name, value);
          }
          return next;
        },
        { replace: true },
      ),
    [setSearch],
  );
  const replace = useCallback(
    (next: URLSearchParams) => setSearch(next, { replace: true }),
    [setSearch],
  );
  return [search, change, replace];
}
