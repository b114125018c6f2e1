import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';

import type { Instance } from '../api/client';
import { queries } from '../api/queries';
import { ErrorAlert } from '../components/ErrorAlert';
import { InstanceFilter } from '../components/InstanceFilter';
import { BulkActions } from '../components/BulkActions';
import { COLUMNS } from '../components/instanceColumns';
import { SavedViews } from '../components/SavedViews';
import { filtered, readOrder, readQuery, sorted, writeQuery } from '../lib/filters';
import { useFollow } from '../lib/follow';
import { useSearch } from '../lib/useSearch';
import { t } from '../strings';

const PAGE = 50; // rows; the table is not virtualised

/** Every workspace: filtered, sorted and selected by the address. */
export default function Workspaces() {
  const { data: list, error, refetch } = useQuery(queries.instances);
  const [search, change, replace] = useSearch();
  const follow = useFollow();
  const query = useMemo(() => readQuery(search), [search]);
  const order = useMemo(() => readOrder(search), [search]);
  const rows = useMemo(() => sorted(filtered(list ?? [], query), order), [list, query, order]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const page = Math.min(Math.max(1, Number(search.get('page')) || 1), pages);
  const names = useMemo(() => new Set(search.get('selected')?.split(',') ?? []), [search]);
  const selected = rows.filter((it) => names.has(it.name));
  const select = (items: readonly Instance[]) =>
    change({ selected: items.map((it) => it.name).join(',') });
  if (error !== null) return <ErrorAlert error={error} retry={() => void refetch()} />;
  return (
    <Table
      variant="full-page"
      stickyHeader
      resizableColumns
      loading={list === undefined}
      loadingText={t.loading(t.pages.workspaces)}
      items={rows.slice((page - 1) * PAGE, page * PAGE)}
      trackBy="name"
      columnDefinitions={COLUMNS}
      columnDisplay={COLUMNS.map(({ id }) => ({ id: id ?? '', visible: true }))}
      selectionType="multi"
      ariaLabels={{
        tableLabel: t.pages.workspaces,
        selectionGroupLabel: t.workspaces.selection,
        allItemsSelectionLabel: () => t.workspaces.selectAll,
        itemSelectionLabel: (_, it) => t.workspaces.select(it.name),
      }}
      selectedItems={selected}
      isItemDisabled={(it) => it.state === 'terminated'}
      onSelectionChange={({ detail }) => select(detail.selectedItems)}
      sortingColumn={COLUMNS.find((it) => it.sortingField === order.by) ?? {}}
      sortingDescending={order.down}
      onSortingChange={({ detail }) =>
        change({
          sort: `${detail.isDescending === true ? '-' : ''}${detail.sortingColumn.sortingField ?? 'name'}`,
        })
      }
      header={
        <Header
          variant="awsui-h1-sticky"
          counter={counter(selected.length, rows.length, list?.length)}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <BulkActions selected={selected} done={() => select([])} />
              <Button variant="primary" href="/launch" onFollow={follow}>
                {t.launch.button}
              </Button>
            </SpaceBetween>
          }
        >
          {t.pages.workspaces}
        </Header>
      }
      filter={
        <InstanceFilter
          list={list ?? []}
          query={query}
          matches={rows.length}
          views={<SavedViews search={search} replace={replace} />}
          onChange={(next) => replace(writeQuery(search, next))}
        />
      }
      pagination={
        <Pagination
          currentPageIndex={page}
          pagesCount={pages}
          onChange={({ detail }) => change({ page: String(detail.currentPageIndex) })}
        />
      }
      empty={<Empty some={(list?.length ?? 0) > 0} clear={() => replace(new URLSearchParams())} />}
    />
  );
}

function counter(selected: number, shown: number, all: number | undefined): string {
  if (all === undefined) return '';
  const of = shown === all ? `${all}` : `${shown}/${all}`;
  return selected > 0 ? `(${selected}/${of})` : `(${of})`;
}

function Empty({ some, clear }: { readonly some: boolean; readonly clear: () => void }) {
  const follow = useFollow();
  return (
    <Box textAlign="center" padding="l">
      <SpaceBetween size="s">
        <Box variant="p" color="text-body-secondary">
          {some ? t.workspaces.noMatch : t.workspaces.none}
        </Box>
        {some ? (
          <Button onClick={clear}>{t.workspaces.clearFilter}</Button>
        ) : (
          <Button href="/launch" onFollow={follow}>
            {t.launch.button}
          </Button>
        )}
      </SpaceBetween>
    </Box>
  );
}
