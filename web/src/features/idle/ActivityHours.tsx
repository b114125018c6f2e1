import BarChart from '@cloudscape-design/components/bar-chart';

import type { Schemas } from '../../api/client';
import { hours, VERDICTS } from '../../lib/activity';
import { hourOf } from '../../lib/format';
import { t } from '../../strings';

// An idle hour is nothing wrong: no red. Each is told from the others in both themes.
const COLOURS = { active: '#2ea597', idle: '#8c8c94', unknown: '#e07941' } as const;
const REASONS = 4; // that one hour shows

/** For how many minutes of each hour a workspace was active, idle or unknown. */
export function ActivityHours({ activity }: { readonly activity: Schemas['Activity'] }) {
  const bars = hours(activity.points, activity.since, activity.until);
  const labels = bars.map((it) => hourOf(it.at));
  const why = new Map(bars.map((it, index) => [labels[index], it.because]));
  return (
    <BarChart
      stackedBars
      hideFilter
      height={180}
      ariaLabel={t.idle.day}
      xScaleType="categorical"
      xDomain={labels}
      yDomain={[0, 60]}
      xTitle={t.idle.hour}
      yTitle={t.idle.minutesWatched}
      series={VERDICTS.map((verdict) => ({
        title: t.idle.verdicts[verdict],
        type: 'bar',
        color: COLOURS[verdict],
        data: bars.map((it, index) => ({ x: labels[index] ?? '', y: it.minutes[verdict] })),
        valueFormatter: (value: number) => t.minutes(value),
      }))}
      detailPopoverFooter={(label) => {
        const reasons = why.get(label) ?? [];
        return reasons.length === 0 ? null : (
          <ul>
            {reasons.slice(0, REASONS).map((it) => (
              <li key={it}>{it}</li>
            ))}
            {reasons.length > REASONS && <li>{t.andMore(reasons.length - REASONS)}</li>}
          </ul>
        );
      }}
    />
  );
}
