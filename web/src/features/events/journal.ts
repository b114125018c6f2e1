import { infiniteQueryOptions } from '@tanstack/react-query';

import { api, type Schemas } from '../../api/client';

const PAGE = 200;
const NEXT = /<([^>]*)>;\s*rel="?next"?/;

/** Some entries, newest first, and where older ones begin; null if there are none. */
interface Page {
  readonly entries: readonly Schemas['AuditEntry'][];
  readonly next: string | null;
}

/** Where the next page begins, by the header of an answer. */
export function cursorOf(link: string | null): string | null {
  const address = NEXT.exec(link ?? '')?.[1];
  return address === undefined
    ? null
    : new URL(address, 'http://localhost').searchParams.get('cursor');
}

/** The journal by a filter, given as JSON so that equal filters are one query, page by page. */
export function journal(filter: string) {
  return infiniteQueryOptions({
    queryKey: ['audit', 'filtered', filter],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam: cursor }): Promise<Page> => {
      const given = JSON.parse(filter) as Readonly<Record<string, string>>;
      const query = { limit: PAGE, ...given, ...(cursor === null ? {} : { cursor }) };
      const answer = await api.GET('/api/v1/audit', { params: { query } });
      // Only `format=csv` would be answered with text.
      const entries = (answer.data ?? []) as Schemas['AuditEntry'][];
      return { entries, next: cursorOf(answer.response.headers.get('Link')) };
    },
    getNextPageParam: (last: Page) => last.next,
    placeholderData: (before) => before,
  });
}
