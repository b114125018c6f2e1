import Box from '@cloudscape-design/components/box';
import LineChart from '@cloudscape-design/components/line-chart';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../api/queries';
import { day, money } from '../lib/format';
import { burnDown, outlook } from '../lib/money';
import { t } from '../strings';
import { Loaded } from './Loaded';

const AHEAD = 30; // days

/** What was not spent of a cap at the end of each day, and will not be if all goes on so. */
export function BurnDown({
  project,
  amount,
  spent,
  daily,
  asOf,
  runsOut,
}: {
  readonly project: string;
  readonly amount: number;
  readonly spent: number;
  readonly daily: number | null;
  readonly asOf: string;
  readonly runsOut: string | null;
}) {
  const query = useQuery(queries.projectHistory(project));
  return (
    <Loaded query={query} what={t.money.burnDown}>
      {({ daily_costs: days }) => {
        const past = burnDown(amount, spent, days);
        const sleeps = runsOut === null ? null : new Date(runsOut);
        const coming = outlook(new Date(asOf), amount - spent, daily, AHEAD, sleeps);
        const all = [...past, ...coming].map((it) => it.x.getTime());
        return (
          <LineChart
            height={220}
            hideFilter
            ariaLabel={t.money.burnDown}
            xScaleType="time"
            xTitle={t.costs.period}
            yTitle={t.costs.usd}
            {...(all.length > 1
              ? { xDomain: [new Date(Math.min(...all)), new Date(Math.max(...all))] }
              : {})}
            yDomain={[0, amount]}
            xTickFormatter={(it: Date) => day(it.toISOString())}
            yTickFormatter={(it) => money(it)}
            series={[
              { title: t.money.leftThen, type: 'line', data: past, valueFormatter: money },
              { title: t.money.leftComing, type: 'line', data: coming, valueFormatter: money },
              { title: t.money.empty, type: 'threshold', y: 0, valueFormatter: money },
            ]}
            empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
          />
        );
      }}
    </Loaded>
  );
}
