import Box from '@cloudscape-design/components/box';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';

import type { Schemas } from '../../api/client';
import { hourly, money } from '../../lib/format';
import { t } from '../../strings';
import { ValueWithSource } from '../../ui/ValueWithSource';
import { WrappedText } from '../../ui/WrappedText';

/** What is paid for at this moment, and what of it costs most. */
export function CostsNow({ costs }: { readonly costs: Schemas['CurrentCosts'] }) {
  const unknown = t.source.unknown(costs.unknown);
  const sourced = (label: string, value: string, source: string) => ({
    label,
    value: <ValueWithSource label={label} value={value} source={source} />,
  });
  const saved = costs.hibernation_savings.current_month;
  return (
    <SpaceBetween size="l">
      <KeyValuePairs
        columns={4}
        items={[
          sourced(t.home.rate, hourly(costs.total_current_hourly), t.source.now(unknown)),
          sourced(t.costs.day, money(costs.total_daily_projection), t.costs.daySource),
          sourced(t.costs.month, money(costs.total_monthly_projection), t.costs.monthSource),
          sourced(t.costs.saved, money(saved), t.costs.savedSource),
        ]}
      />
      <Table<Schemas['CostDriver']>
        variant="embedded"
        contentDensity="compact"
        items={costs.top_cost_drivers}
        trackBy="resource"
        ariaLabels={{ tableLabel: t.costs.drivers }}
        empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
        columnDefinitions={[
          {
            id: 'what',
            header: t.costs.drivers,
            isRowHeader: true,
            minWidth: 130,
            cell: (it) => <WrappedText>{it.resource}</WrappedText>,
          },
          { id: 'rate', header: t.fields.rate, cell: (it) => hourly(it.hourly_cost) },
          { id: 'share', header: t.costs.share, cell: (it) => `${it.percentage}%` },
        ]}
      />
    </SpaceBetween>
  );
}
