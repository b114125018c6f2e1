import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useLayoutEffect, useMemo, useState } from 'react';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { InstanceFilter } from './InstanceFilter';
import { BulkActions } from './BulkActions';
import { COLUMNS } from './instanceColumns';
import { Rows } from '../../ui/LiveCell';
import { SavedViews } from './SavedViews';
import { filtered, type Query, readOrder, readQuery, sorted, writeQuery } from './filters';
import type { Target } from '../../lib/useEach';
import { useFollow } from '../../lib/follow';
import { NO_ROWS, rowKeys } from './rowKeys';
import { useSearch } from '../../lib/useSearch';
import { sameMembers, useStable } from '../../lib/useStable';
import { LiveRows } from '../../live/rows';
import { t } from '../../strings';

const PAGE = 50; // rows; the table is not virtualised

const DISPLAYED = COLUMNS.map(({ id }) => ({ id: id ?? '', visible: true }));
const LABELS: TableProps.AriaLabels<Instance> = {
  tableLabel: t.pages.workspaces,
  selectionGroupLabel: t.workspaces.selection,
  allItemsSelectionLabel: () => t.workspaces.selectAll,
  itemSelectionLabel: (_, it) => t.workspaces.select(it.name),
};

/** Every workspace: filtered, sorted and selected by the address. */
export default function Workspaces() {
  const { data: list, error, refetch } = useQuery(queries.instances);
  const [search, change, replace] = useSearch();
  const follow = useFollow();
  const [live] = useState(() => new LiveRows());
  useLayoutEffect(() => live.show(list ?? []), [live, list]);
  const query = useStable(readQuery(search), sameText);
  const order = useStable(readOrder(search), sameText);
  const rows = useMemo(() => sorted(filtered(list ?? [], query), order), [list, query, order]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const page = Math.min(Math.max(1, Math.trunc(Number(search.get('page'))) || 1), pages);
  const selection = search.get('selected') ?? '';
  // By name, for people: a name that becomes ambiguous is not selected any more.
  const names = useMemo(() => new Set(selection.split(',')), [selection]);
  // Cells follow their workspaces by themselves: the table is drawn again for other rows only.
  const items = useStable(rows.slice((page - 1) * PAGE, page * PAGE), sameRows);
  const [turned, turn] = useState<Turn>({ to: 0 });
  const keys = useRowKeys(items, page, turned);
  const selected = useStable(
    rows.filter((it) => names.has(it.name) && it.state !== 'terminated'),
    sameMembers,
  );
  const select = useCallback(
    (chosen: readonly Instance[]) =>
      change({ selected: chosen.map((it) => it.name).join(',') || null }),
    [change],
  );
  const unselect = useCallback(
    (gone: readonly Target[]) => {
      if (gone.length === 0) return;
      change((now) => ({
        selected:
          (now.get('selected') ?? '')
            .split(',')
            .filter((selected) => !gone.some(({ name }) => name === selected))
            .join(',') || null,
      }));
    },
    [change],
  );
  // Another one of that name, later, was chosen by nobody.
  const ended = useStable(
    (list ?? []).filter((it) => names.has(it.name) && it.state === 'terminated'),
    sameMembers,
  );
  useEffect(() => unselect(ended), [unselect, ended]);
  const clear = useCallback(() => replace(new URLSearchParams()), [replace]);
  const filter = useCallback((next: Query) => replace(writeQuery(search, next)), [replace, search]);
  const views = useMemo(() => <SavedViews search={search} replace={replace} />, [search, replace]);
  const many = list?.length;
  const shown = rows.length;
  const header = useMemo(
    () => (
      <Header
        variant="awsui-h1-sticky"
        counter={counter(selected.length, shown, many)}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <BulkActions selected={selected} done={unselect} />
            <Button variant="primary" href="/launch" onFollow={follow}>
              {t.launch.button}
            </Button>
          </SpaceBetween>
        }
      >
        {t.pages.workspaces}
      </Header>
    ),
    [selected, shown, many, unselect, follow],
  );
  const table = useMemo(
    () => (
      <Table
        variant="full-page"
        stickyHeader
        resizableColumns
        loading={many === undefined}
        loadingText={t.loading(t.pages.workspaces)}
        items={items}
        trackBy={(it) => keys.get(it.workspace) ?? it.workspace}
        columnDefinitions={COLUMNS}
        columnDisplay={DISPLAYED}
        selectionType="multi"
        ariaLabels={LABELS}
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
        header={header}
        filter={<InstanceFilter query={query} matches={shown} views={views} onChange={filter} />}
        pagination={
          <Pagination
            currentPageIndex={page}
            pagesCount={pages}
            onChange={({ detail }) => {
              turn({ to: detail.currentPageIndex });
              change({ page: String(detail.currentPageIndex) });
            }}
          />
        }
        empty={<Empty some={(many ?? 0) > 0} clear={clear} />}
      />
    ),
    [
      many,
      items,
      selected,
      select,
      order,
      change,
      header,
      query,
      shown,
      views,
      filter,
      keys,
      page,
      pages,
      clear,
    ],
  );
  if (error !== null && list === undefined)
    return <ErrorAlert error={error} retry={() => void refetch()} />;
  return <Rows value={live}>{table}</Rows>;
}

/** A page that somebody has asked for with the pager. */
interface Turn {
  readonly to: number;
}

/** The keys of the rows by id; each turn of the pager has them used again once. */
function useRowKeys(
  items: readonly Instance[],
  page: number,
  turned: Turn,
): ReadonlyMap<string, string> {
  const [kept, keep] = useState({ ...NO_ROWS, items: [] as readonly Instance[], used: turned });
  if (kept.items === items) return kept.keys;
  const again = kept.used !== turned && turned.to === page;
  const ids = items.map((it) => it.workspace);
  const next = { ...rowKeys(kept, ids, again), items, used: again ? turned : kept.used };
  keep(next);
  return next.keys;
}

/** Whether the same workspaces can be selected in the same rows. */
function sameRows(before: readonly Instance[], now: readonly Instance[]): boolean {
  const key = (it: Instance | undefined) => `${it?.workspace} ${it?.name}`;
  const ended = (it: Instance | undefined) => it?.state === 'terminated';
  return (
    before.length === now.length &&
    before.every((it, index) => key(it) === key(now[index]) && ended(it) === ended(now[index]))
  );
}

function sameText(before: unknown, now: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(now);
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
