import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import {
  lazy,
  Suspense,
  useCallback,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useMemo,
  useState,
} from 'react';

import type { Instance } from '../../../api/client';
import { queries } from '../../../api/queries';
import { ErrorAlert } from '../../../ui/ErrorAlert';
import { InstanceFilter } from './InstanceFilter';
import { BulkActions } from './BulkActions';
import { COLUMNS } from './instanceColumns';
import { Rows } from '../../../ui/LiveCell';
import { SavedViews } from './SavedViews';
import {
  containing,
  filtered,
  type Query,
  readOrder,
  readQuery,
  scoped,
  SCOPES,
  sorted,
  writeQuery,
} from './filters';
import { choosePage, isSelected, readSelection, without, writeSelection } from './selection';
import { useColumns } from './useColumns';
import { useMe } from '../../../lib/me';
import type { Target } from '../../../lib/useEach';
import { useFollow } from '../../../lib/follow';
import { NO_ROWS, rowKeys } from './rowKeys';
import { useSearch } from '../../../lib/useSearch';
import { sameMembers, useStable } from '../../../lib/useStable';
import { LiveRows } from '../../../live/rows';
import { t } from '../../../strings';

const PAGE = 50; // rows; the table is not virtualised

const IDS = COLUMNS.map(({ id }) => id ?? '');
const EVERY = new Set(IDS);
const WITHOUT_OWNER = new Set(IDS.filter((id) => id !== 'owner'));
const LABELS_OF_COLUMNS = new Map(
  COLUMNS.map(({ id = '', header }) => [id, typeof header === 'string' ? header : id]),
);
// A daemon of one person never shows it.
const ScopeChoice = lazy(() => import('./ScopeChoice'));
const ColumnDialog = lazy(() => import('./ColumnDialog'));
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
  const me = useMe();
  const { data: projects } = useQuery(queries.projects);
  const scope = SCOPES.find((it) => it === search.get('who')) ?? 'all';
  const [typed, type] = useState('');
  const text = useDeferredValue(typed);
  const rows = useMemo(() => {
    const names = new Set((projects ?? []).filter((it) => me?.roles[it.id]).map((it) => it.name));
    const whose = scoped(list ?? [], scope, me?.user ?? '', names);
    return sorted(containing(filtered(whose, query), text), order);
  }, [list, query, order, scope, me, projects, text]);
  const shared = useMemo(() => new Set((list ?? []).map((it) => it.owner)).size > 1, [list]);
  const [choosing, setChoosing] = useState(false);
  const [columns, chooseColumns] = useColumns(IDS, shared ? EVERY : WITHOUT_OWNER);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const page = Math.min(Math.max(1, Math.trunc(Number(search.get('page'))) || 1), pages);
  const selectionText = search.get('selected') ?? '';
  // By name, for people: a name that becomes ambiguous is not selected any more.
  const selection = useMemo(() => readSelection(selectionText), [selectionText]);
  // Cells follow their workspaces by themselves: the table is drawn again for other rows only.
  const items = useStable(rows.slice((page - 1) * PAGE, page * PAGE), sameRows);
  const [turned, turn] = useState<Turn>({ to: 0 });
  const keys = useRowKeys(items, page, turned);
  const selected = useStable(
    rows.filter((it) => isSelected(selection, it.name) && it.state !== 'terminated'),
    sameMembers,
  );
  const select = useCallback(
    (chosen: readonly Instance[]) => {
      const names = new Set(chosen.map((it) => it.name));
      change((now) => ({
        selected: writeSelection(
          choosePage(
            readSelection(now.get('selected') ?? ''),
            items.filter((it) => it.state !== 'terminated').map((it) => it.name),
            names,
          ),
        ),
      }));
    },
    [change, items],
  );
  const unselect = useCallback(
    (gone: readonly Target[]) => {
      if (gone.length === 0) return;
      change((now) => ({
        selected: writeSelection(
          without(
            readSelection(now.get('selected') ?? ''),
            gone.map(({ name }) => name),
          ),
        ),
      }));
    },
    [change],
  );
  // Another one of that name, later, was chosen by nobody.
  const ended = useStable(
    (list ?? []).filter((it) => selection.names.has(it.name) && it.state === 'terminated'),
    sameMembers,
  );
  useEffect(() => unselect(ended), [unselect, ended]);
  const clear = useCallback(() => replace(new URLSearchParams()), [replace]);
  const filter = useCallback((next: Query) => replace(writeQuery(search, next)), [replace, search]);
  const views = useMemo(() => <SavedViews search={search} replace={replace} />, [search, replace]);
  const many = list?.length;
  const shown = rows.length;
  const living = rows.filter((it) => it.state !== 'terminated').length;
  const header = useMemo(
    () => (
      <Header
        variant="awsui-h1-sticky"
        counter={counter(selected.length, shown, many)}
        description={
          <Whole
            selected={selected.length}
            page={items.length}
            matching={living}
            selectAll={() => change({ selected: '*' })}
            selectNone={() => change({ selected: null })}
          />
        }
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
    [selected, shown, many, unselect, follow, items, living, change],
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
        columnDisplay={columns}
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
        filter={
          <SpaceBetween size="xs">
            {(shared || me?.shared === true) && (
              <Suspense fallback={null}>
                <ScopeChoice
                  scope={scope}
                  choose={(who) => change({ who: who === 'all' ? null : who, page: null })}
                />
              </Suspense>
            )}
            <InstanceFilter
              query={query}
              matches={shown}
              views={views}
              onChange={filter}
              onType={type}
            />
          </SpaceBetween>
        }
        preferences={
          <Button
            variant="icon"
            iconName="settings"
            ariaLabel={t.workspaces.columns}
            onClick={() => setChoosing(true)}
          />
        }
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
      columns,
      scope,
      shared,
      me,
    ],
  );
  if (error !== null && list === undefined)
    return <ErrorAlert error={error} retry={() => void refetch()} />;
  return (
    <>
      <Rows value={live}>{table}</Rows>
      {choosing && (
        <Suspense fallback={null}>
          <ColumnDialog
            columns={columns}
            labels={LABELS_OF_COLUMNS}
            choose={chooseColumns}
            close={() => setChoosing(false)}
          />
        </Suspense>
      )}
    </>
  );
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

/** Offers to select all that match, also those on other pages, once a whole page is selected. */
function Whole({
  selected,
  page,
  matching,
  selectAll,
  selectNone,
}: {
  readonly selected: number;
  readonly page: number;
  readonly matching: number;
  readonly selectAll: () => void;
  readonly selectNone: () => void;
}) {
  if (matching <= PAGE || selected === 0) return null;
  if (selected >= matching)
    return (
      <Button variant="inline-link" onClick={selectNone}>
        {t.workspaces.selectNone(matching)}
      </Button>
    );
  if (selected < page) return null;
  return (
    <Button variant="inline-link" onClick={selectAll}>
      {t.workspaces.selectMatching(matching)}
    </Button>
  );
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
