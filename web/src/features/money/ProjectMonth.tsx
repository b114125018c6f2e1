import Box from '@cloudscape-design/components/box';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { day, money } from '../../lib/format';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { monthsUntil } from './money';

/** What each person and each workspace of a project cost in a month. */
export function ProjectMonth({ project }: { readonly project: Schemas['ProjectShown'] }) {
  const [search, change] = useSearch();
  const month = search.get('month');
  const query = useQuery(queries.projectReport(project.id, month));
  const months = monthsUntil(new Date(), new Date(project.created_at));
  const options = [
    { value: '', label: t.money.thisMonth },
    ...months.map((value) => ({ value, label: value })),
  ];
  const part = month === null ? '' : `&month=${encodeURIComponent(month)}`;
  const address = `/api/v1/projects/${encodeURIComponent(project.id)}/report`;
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            <SpaceBetween direction="horizontal" size="s" alignItems="center">
              <Link href={`${address}?format=html${part}`} external>
                {t.money.report}
              </Link>
              <Link href={`${address}?format=csv${part}`} external>
                {t.money.reportTable}
              </Link>
              <Select
                ariaLabel={t.money.month}
                options={options}
                selectedOption={{ value: month ?? '', label: month ?? t.money.thisMonth }}
                onChange={({ detail }) => change({ month: detail.selectedOption.value || null })}
              />
            </SpaceBetween>
          }
        >
          {t.money.whoSpent}
        </Header>
      }
    >
      <Loaded query={query} what={t.money.whoSpent}>
        {(report) => (
          <SpaceBetween size="m">
            <Box>
              {t.money.spentBetween(
                money(report.total),
                day(report.start),
                day(report.end),
                money(report.hibernation_savings),
              )}
            </Box>
            {report.unknown.length > 0 && <Box>{t.money.unpriced(report.unknown)}</Box>}
            <ColumnLayout columns={2}>
              <Shares title={t.money.perPerson} lines={report.by_user} />
              <Shares title={t.money.perWorkspace} lines={report.by_workspace} />
            </ColumnLayout>
          </SpaceBetween>
        )}
      </Loaded>
    </Container>
  );
}

function Shares({
  title,
  lines,
}: {
  readonly title: string;
  readonly lines: readonly Schemas['ReportLine'][];
}) {
  return (
    <Table<Schemas['ReportLine']>
      variant="embedded"
      contentDensity="compact"
      items={lines}
      ariaLabels={{ tableLabel: title }}
      empty={<Box color="text-body-secondary">{t.money.nothingSpent}</Box>}
      columnDefinitions={[
        { id: 'name', header: title, isRowHeader: true, cell: (it) => it.name },
        { id: 'cost', header: t.costs.cost, cell: (it) => money(it.cost) },
        {
          id: 'share',
          header: t.costs.share,
          cell: (it) => (it.percentage === null ? '' : `${it.percentage}%`),
        },
      ]}
    />
  );
}
