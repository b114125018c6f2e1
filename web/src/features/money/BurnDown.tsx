import Box from '@cloudscape-design/components/box';
import LineChart from '@cloudscape-design/components/line-chart';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { day, money } from '../../lib/format';
import { burnDown, outlook, paceOf } from './money';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';

const AHEAD = 30; // days
// Both edges of the range in one colour, which both themes show.
const RANGE_LINE = { type: 'line', color: '#8c8c94', valueFormatter: money } as const;

/**
 * What was not spent of a cap at the end of each day, what will not be if all goes on as now, and
 * the range between days like the quietest and like the busiest of the last two weeks.
 */
export function BurnDown({
  project,
  amount,
  spent,
  daily,
  asOf,
  course,
}: {
  readonly project: string;
  readonly amount: number;
  readonly spent: number;
  readonly daily: number | null;
  readonly asOf: string;
  /** What will not be spent, as the daemon computes it together with the run-out date. */
  readonly course: Schemas['CapCourse'] | undefined;
}) {
  const query = useQuery(queries.projectHistory(project));
  return (
    <Loaded query={query} what={t.money.burnDown}>
      {({ daily_costs: days }) => {
        const past = burnDown(amount, spent, days);
        const now = new Date(asOf);
        const coming = (course?.points ?? []).map((it) => ({ x: new Date(it.at), y: it.unspent }));
        const pace = paceOf(days, now, daily);
        const slow = outlook(now, amount - spent, pace?.slow ?? null, AHEAD);
        const fast = outlook(now, amount - spent, pace?.fast ?? null, AHEAD);
        const gone = fast.at(-1)?.y === 0 ? fast.at(-1)?.x : undefined;
        const all = [...past, ...coming, ...slow, ...fast].map((it) => it.x.getTime());
        return (
          <SpaceBetween size="xs">
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
                ...(pace === null
                  ? []
                  : [
                      { title: t.money.quiet, data: slow, ...RANGE_LINE },
                      { title: t.money.busy, data: fast, ...RANGE_LINE },
                    ]),
                { title: t.money.empty, type: 'threshold', y: 0, valueFormatter: money },
              ]}
              empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
            />
            <Box color="text-body-secondary">
              {pace === null
                ? t.money.noRange
                : t.money.range(
                    pace.days,
                    money(pace.slow),
                    money(pace.fast),
                    gone === undefined ? null : day(gone.toISOString()),
                  )}
            </Box>
          </SpaceBetween>
        );
      }}
    </Loaded>
  );
}
