import Table from '@cloudscape-design/components/table';

import type { Schemas } from '../../api/client';
import { money } from '../../lib/format';
import { t } from '../../strings';

/** What each day, week or month cost, the newest first. */
export function BucketTable({ buckets }: { readonly buckets: readonly Schemas['CostBucket'][] }) {
  return (
    <Table<Schemas['CostBucket']>
      variant="embedded"
      contentDensity="compact"
      items={[...buckets].reverse()}
      trackBy="date"
      ariaLabels={{ tableLabel: t.costs.history }}
      columnDefinitions={[
        { id: 'date', header: t.costs.period, isRowHeader: true, cell: (it) => it.date },
        { id: 'cost', header: t.costs.cost, cell: (it) => money(it.cost) },
        { id: 'saved', header: t.costs.saved, cell: (it) => money(it.hibernation_savings) },
        { id: 'count', header: t.pages.workspaces, cell: (it) => it.instances },
      ]}
    />
  );
}
