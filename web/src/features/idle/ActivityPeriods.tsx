import ExpandableSection from '@cloudscape-design/components/expandable-section';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';

import type { Schemas } from '../../api/client';
import { type Period, periods } from '../../lib/activity';
import { duration, moment } from '../../lib/format';
import { t } from '../../strings';

/** When a workspace was active, idle or unknown in the last 24 hours, with the reasons. */
export function ActivityPeriods({ activity }: { readonly activity: Schemas['Activity'] }) {
  return (
    <SpaceBetween size="s">
      {activity.acted.length > 0 && (
        <ul>
          {activity.acted.map((it) => (
            <li key={it.trigger_time}>
              {t.idle.acted(moment(it.trigger_time), t.idle.ruleDone(it.action, it.idle_duration))}
            </li>
          ))}
        </ul>
      )}
      <ExpandableSection headerText={t.idle.periods} defaultExpanded>
        <Table<Period>
          variant="embedded"
          contentDensity="compact"
          wrapLines
          items={periods(activity.points, activity.step_seconds)}
          trackBy="from"
          ariaLabels={{ tableLabel: t.idle.periods }}
          columnDefinitions={[
            {
              id: 'from',
              header: t.idle.from,
              isRowHeader: true,
              minWidth: 140,
              cell: (it) => moment(it.from),
            },
            {
              id: 'lasted',
              header: t.idle.lasted,
              minWidth: 90,
              cell: (it) => duration(it.seconds),
            },
            {
              id: 'was',
              header: t.idle.was,
              minWidth: 100,
              cell: (it) => t.idle.verdicts[it.verdict],
            },
            {
              id: 'why',
              header: t.idle.because,
              minWidth: 180,
              cell: (it) => it.because.join('; ') || t.none,
            },
          ]}
        />
      </ExpandableSection>
    </SpaceBetween>
  );
}
