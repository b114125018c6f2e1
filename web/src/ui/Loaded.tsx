import Box from '@cloudscape-design/components/box';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { t } from '../strings';
import { ErrorAlert } from './ErrorAlert';

/** The result of a query, or its loading state or error. */
export function Loaded<T>({
  query,
  what,
  children,
}: {
  readonly query: Pick<UseQueryResult<T>, 'data' | 'error'> & { readonly refetch: () => unknown };
  /** What is being loaded. */
  readonly what: string;
  readonly children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error !== null) {
    return <ErrorAlert error={query.error} retry={() => void query.refetch()} />;
  }
  return (
    <Box padding="s" color="text-body-secondary">
      <StatusIndicator type="loading">{t.loading(what)}</StatusIndicator>
    </Box>
  );
}
