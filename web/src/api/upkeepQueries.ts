import { queryOptions } from '@tanstack/react-query';

import { api, data, type Schemas } from './client';
import { upkeepActions } from './upkeepActions';

const NEW = { staleTime: 0, gcTime: 0 } as const; // no event says that it is out of date

/** What the dialogs and tables of upkeep and limits read. */
export const upkeepQueries = {
  removable: queryOptions({
    ...NEW,
    queryKey: ['removable'],
    queryFn: () => upkeepActions.clean(true),
  }),
  recoverable: (request: Schemas['RecoverRequest']) =>
    queryOptions({
      ...NEW,
      queryKey: ['recoverable', request],
      queryFn: () => upkeepActions.recover({ ...request, dry_run: true }),
    }),
  limits: (project: string | null) =>
    queryOptions({
      queryKey: ['limits', project],
      queryFn: () =>
        data(api.GET('/api/v1/limits', { params: { query: project === null ? {} : { project } } })),
    }),
  ownLimits: queryOptions({
    ...NEW, // it changes with each cent
    queryKey: ['limits', 'mine'],
    queryFn: () => data(api.GET('/api/v1/limits/mine')),
  }),
} as const;
