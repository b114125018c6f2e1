import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useInfiniteQuery } from '@tanstack/react-query';

import { AsCommand } from '../../ui/AsCommand';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { RelativeTime } from '../../ui/RelativeTime';
import { WrappedText } from '../../ui/WrappedText';
import { eventsOf } from '../../lib/equivalents';
import { useDebounced } from '../../lib/useDebounced';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { journal } from './journal';

const FILTERS = ['actor', 'subject', 'event'] as const;
const REST = 300; // milliseconds that a filter rests before it is asked for

/** Everything that happened, filtered by the daemon. */
export default function Events() {
  const [search, change] = useSearch();
  const filter = Object.fromEntries(
    FILTERS.flatMap((name) => {
      const value = search.get(name) ?? '';
      return value === '' ? [] : [[name, value]];
    }),
  );
  const settled = useDebounced(JSON.stringify(filter), REST);
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery(
    journal(settled),
  );
  const list = data?.pages.flatMap((page) => page.entries);
  const csv = `/api/v1/audit?${new URLSearchParams({ ...filter, format: 'csv' })}`;
  return (
    <Table
      variant="full-page"
      stickyHeader
      loading={list === undefined && error === null}
      loadingText={t.loading(t.pages.events)}
      items={list ?? []}
      trackBy="id"
      ariaLabels={{ tableLabel: t.pages.events }}
      wrapLines
      header={
        <Header
          variant="awsui-h1-sticky"
          description={t.events.what}
          actions={
            <SpaceBetween direction="horizontal" size="m" alignItems="center">
              <Link href={csv} external>
                {t.events.csv}
              </Link>
              <AsCommand equivalents={eventsOf(filter)} />
            </SpaceBetween>
          }
        >
          {t.pages.events}
        </Header>
      }
      filter={
        <SpaceBetween direction="horizontal" size="s">
          {FILTERS.map((name) => (
            <Input
              key={name}
              type="search"
              ariaLabel={t.events.filters[name]}
              placeholder={t.events.filters[name]}
              value={search.get(name) ?? ''}
              onChange={({ detail }) => change({ [name]: detail.value || null })}
            />
          ))}
        </SpaceBetween>
      }
      empty={
        error === null ? (
          <Box color="text-body-secondary">{t.events.none}</Box>
        ) : (
          <ErrorAlert error={error} retry={() => void refetch()} />
        )
      }
      footer={
        hasNextPage && (
          <Box textAlign="center">
            <Button loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
              {t.events.older}
            </Button>
          </Box>
        )
      }
      columnDefinitions={[
        {
          id: 'at',
          header: t.fields.when,
          minWidth: 110,
          cell: (it) => <RelativeTime at={it.at} />,
        },
        {
          id: 'event',
          header: t.fields.event,
          minWidth: 170,
          isRowHeader: true,
          cell: (it) => t.events.sentence(it.event, it.data),
        },
        {
          id: 'subject',
          header: t.fields.subject,
          minWidth: 260,
          cell: (it) => <WrappedText>{it.subject}</WrappedText>,
        },
        { id: 'actor', header: t.fields.actor, minWidth: 170, cell: (it) => it.actor },
        {
          id: 'kind',
          header: t.events.kind,
          minWidth: 200,
          cell: (it) => <span className="mono">{it.event}</span>,
        },
      ]}
    />
  );
}
