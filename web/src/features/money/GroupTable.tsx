import Box from '@cloudscape-design/components/box';
import Table from '@cloudscape-design/components/table';

import type { CostGroup, GroupBy } from '../../lib/costs';
import { money } from '../../lib/format';
import { t } from '../../strings';

/** What each project, user or template cost in the period, the most expensive first. */
export function GroupTable({
  by,
  groups,
}: {
  readonly by: GroupBy;
  readonly groups: readonly CostGroup[];
}) {
  const nameOf = t.costs.groupName(by);
  return (
    <Table<CostGroup>
      variant="embedded"
      contentDensity="compact"
      wrapLines
      items={groups}
      ariaLabels={{ tableLabel: t.costs.groups[by] }}
      empty={<Box color="text-body-secondary">{t.costs.nothingYet}</Box>}
      columnDefinitions={[
        {
          id: 'name',
          header: t.costs.groups[by],
          isRowHeader: true,
          minWidth: 140,
          cell: (it) => nameOf(it.name),
        },
        { id: 'cost', header: t.costs.cost, cell: (it) => money(it.cost) },
        { id: 'share', header: t.costs.share, cell: (it) => `${it.percentage}%` },
        { id: 'saved', header: t.costs.saved, cell: (it) => money(it.hibernation_savings) },
        { id: 'count', header: t.pages.workspaces, cell: (it) => it.instances },
      ]}
    />
  );
}
