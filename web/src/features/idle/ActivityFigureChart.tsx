import MixedLineBarChart from '@cloudscape-design/components/mixed-line-bar-chart';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Schemas } from '../../api/client';
import { measured, steps } from '../../lib/activity';
import { hourOf } from '../../lib/format';
import { useNarrow } from '../../lib/useNarrow';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';

// Steps of one bar: 145 bars of a day are thinner than a pixel on a narrow screen.
const STEPS = { wide: 1, narrow: 3 } as const;

/** One measured figure over the last 24 hours, with the limit up to which it counts as idle. */
export function ActivityFigureChart({ activity }: { readonly activity: Schemas['Activity'] }) {
  const [search, change] = useSearch();
  const narrow = useNarrow();
  const names = measured(activity.points);
  const name = names.find((it) => it === search.get('figure')) ?? names[0];
  if (name === undefined) return null;
  const about = activity.figures.find((it) => it.name === name);
  const unit = about?.unit ?? '';
  const count = narrow ? STEPS.narrow : STEPS.wide;
  const bars = steps(activity, name, count);
  const limit = about?.limit ?? null;
  const most = Math.max(limit ?? 0, 1, ...bars.map((it) => it.y ?? 0));
  const shown = (value: number) => `${Math.round(value * 10) / 10} ${unit}`;
  return (
    <SpaceBetween size="xs">
      <SegmentedControl
        label={t.idle.figure}
        selectedId={name}
        options={names.map((id) => ({ id, text: t.idle.figures[id] }))}
        onChange={({ detail }) =>
          change({ figure: detail.selectedId === names[0] ? null : detail.selectedId })
        }
      />
      <MixedLineBarChart
        hideFilter
        height={160}
        ariaLabel={t.idle.figures[name]}
        xScaleType="categorical"
        xDomain={bars.map((it) => hourOf(it.x))}
        yDomain={[0, most]}
        xTitle={t.idle.time}
        yTitle={t.idle.figureTitle(
          t.idle.figures[name],
          unit,
          (count * activity.step_seconds) / 60,
        )}
        series={[
          {
            title: t.idle.figures[name],
            type: 'bar',
            data: bars.flatMap(({ x, y }) => (y === null ? [] : [{ x: hourOf(x), y }])),
            valueFormatter: shown,
          },
          ...(limit === null
            ? []
            : [
                {
                  title: t.idle.limitOf,
                  type: 'threshold' as const,
                  y: limit,
                  valueFormatter: shown,
                },
              ]),
        ]}
      />
    </SpaceBetween>
  );
}
