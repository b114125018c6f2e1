import BarChart from '@cloudscape-design/components/bar-chart';
import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../api/client';
import { queries } from '../api/queries';
import { AsCommand } from '../components/AsCommand';
import { Loaded } from '../components/Loaded';
import { Sourced } from '../components/Sourced';
import { costsOf } from '../lib/equivalents';
import { hourly, money } from '../lib/format';
import { useSearch } from '../lib/useSearch';
import { t } from '../strings';

const GRAINS = ['daily', 'weekly', 'monthly'] as const;

/** What is paid for now, and what each day, week or month has cost. */
export default function Costs() {
  const [search, change] = useSearch();
  const grain = GRAINS.find((it) => it === search.get('by')) ?? 'daily';
  const now = useQuery(queries.costs);
  const history = useQuery(queries.history(grain));
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="m" alignItems="center">
              <Link href="/api/v1/costs/export?format=csv" external>
                {t.costs.csv}
              </Link>
              <AsCommand equivalents={costsOf(grain)} />
            </SpaceBetween>
          }
        >
          {t.pages.costs}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{t.home.now}</Header>}>
          <Loaded query={now} what={t.home.now}>
            {(costs) => <Now costs={costs} />}
          </Loaded>
        </Container>
        <Container
          header={
            <Header
              variant="h2"
              actions={
                <SegmentedControl
                  label={t.costs.by}
                  selectedId={grain}
                  options={GRAINS.map((id) => ({ id, text: t.costs.grains[id] }))}
                  onChange={({ detail }) =>
                    change({ by: detail.selectedId === 'daily' ? null : detail.selectedId })
                  }
                />
              }
            >
              {t.costs.history}
            </Header>
          }
        >
          <Loaded query={history} what={t.costs.history}>
            {(found) => <Past history={found} />}
          </Loaded>
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}

function Now({ costs }: { readonly costs: Schemas['Current'] }) {
  const unknown = t.source.unknown(costs.unknown);
  const sourced = (label: string, value: string, source: string) => ({
    label,
    value: <Sourced label={label} value={value} source={source} />,
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
      <Table<Schemas['Driver']>
        variant="embedded"
        contentDensity="compact"
        items={costs.top_cost_drivers}
        trackBy="resource"
        ariaLabels={{ tableLabel: t.costs.drivers }}
        empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
        columnDefinitions={[
          { id: 'what', header: t.costs.drivers, isRowHeader: true, cell: (it) => it.resource },
          { id: 'rate', header: t.fields.rate, cell: (it) => hourly(it.hourly_cost) },
          { id: 'share', header: t.costs.share, cell: (it) => `${it.percentage}%` },
        ]}
      />
    </SpaceBetween>
  );
}

function Past({ history }: { readonly history: Schemas['History'] }) {
  const rows = history.daily_costs;
  const { cost_trends: trends } = history;
  return (
    <SpaceBetween size="m">
      <BarChart
        height={220}
        hideFilter
        ariaLabel={t.costs.history}
        xScaleType="categorical"
        xTitle={t.costs.period}
        yTitle={t.costs.usd}
        xDomain={rows.map((it) => it.date)}
        yTickFormatter={(value) => money(value)}
        series={[
          {
            title: t.costs.cost,
            type: 'bar',
            data: rows.map((it) => ({ x: it.date, y: it.cost })),
            valueFormatter: (value) => money(value),
          },
        ]}
        empty={<Box color="text-body-secondary">{t.costs.nothing}</Box>}
      />
      <Box>{t.costs.total(money(history.total_cost), trends.trend_direction)}</Box>
      {trends.primary_driver !== null && <Box variant="p">{trends.primary_driver}</Box>}
      <Table<Schemas['Bucket']>
        variant="embedded"
        contentDensity="compact"
        items={[...rows].reverse()}
        trackBy="date"
        ariaLabels={{ tableLabel: t.costs.history }}
        columnDefinitions={[
          { id: 'date', header: t.costs.period, isRowHeader: true, cell: (it) => it.date },
          { id: 'cost', header: t.costs.cost, cell: (it) => money(it.cost) },
          { id: 'saved', header: t.costs.saved, cell: (it) => money(it.hibernation_savings) },
          { id: 'count', header: t.pages.workspaces, cell: (it) => it.instances },
        ]}
      />
    </SpaceBetween>
  );
}
