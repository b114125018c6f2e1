import BarChart from '@cloudscape-design/components/bar-chart';
import Box from '@cloudscape-design/components/box';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Schemas } from '../../api/client';
import { series } from '../../lib/costs';
import { money, tick } from '../../lib/format';
import { t } from '../../strings';
import { BucketTable } from './BucketTable';
import { GroupTable } from './GroupTable';

const DOLLAR = 1; // USD; the chart of a time without costs has an axis too
const SERIES = 8; // colours that a reader can tell apart

/** What each day, week or month cost, of everything or divided into groups. */
export function CostHistory({ history }: { readonly history: Schemas['CostHistory'] }) {
  const rows = history.daily_costs;
  const { cost_trends: trends, group_by: by = null, groups = [] } = history;
  const most = Math.max(0, ...rows.map((it) => it.cost)) || DOLLAR;
  const whole = [{ title: t.costs.cost, costs: rows.map((it) => it.cost) }];
  const parts = by === null ? [] : series(groups, SERIES, t.costs.groupName(by), t.costs.others);
  return (
    <SpaceBetween size="m">
      <BarChart
        height={220}
        hideFilter
        hideLegend={parts.length === 0}
        stackedBars
        ariaLabel={t.costs.history}
        legendTitle={by === null ? '' : t.costs.groups[by]}
        xScaleType="categorical"
        xTitle={t.costs.period}
        yTitle={t.costs.usd}
        xDomain={rows.map((it) => it.date)}
        yDomain={[0, most]}
        yTickFormatter={(value: number) => tick(value, most)}
        series={(parts.length === 0 ? whole : parts).map(({ title, costs }) => ({
          title,
          type: 'bar',
          data: rows.map((it, bar) => ({ x: it.date, y: costs[bar] ?? 0 })),
          valueFormatter: (value: number) => money(value),
        }))}
        empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
      />
      <Box>{t.costs.total(money(history.total_cost), trends.trend_direction)}</Box>
      {trends.primary_driver !== null && <Box variant="p">{trends.primary_driver}</Box>}
      {by === null ? <BucketTable buckets={rows} /> : <GroupTable by={by} groups={groups} />}
    </SpaceBetween>
  );
}
