import type { TableProps } from '@cloudscape-design/components/table';

import type { Instance } from '../api/client';
import { hourly, money } from '../lib/format';
import { t } from '../strings';
import { PageLink } from './PageLink';
import { OpenInline } from './OpenInline';
import { Sourced } from './Sourced';
import { StateIndicator } from './StateIndicator';
import { When } from './When';

/** The columns of the list of workspaces; `sortingField` is a word of the address. */
export const COLUMNS: TableProps.ColumnDefinition<Instance>[] = [
  {
    id: 'name',
    header: t.fields.name,
    sortingField: 'name',
    isRowHeader: true,
    width: 220,
    minWidth: 140,
    cell: (it) => <PageLink href={`/workspaces/${it.name}`}>{it.name}</PageLink>,
  },
  {
    id: 'state',
    header: t.fields.state,
    sortingField: 'state',
    minWidth: 150,
    cell: (it) => <StateIndicator instance={it} />,
  },
  {
    id: 'open',
    header: t.workspace.open,
    minWidth: 120,
    cell: (it) => <OpenInline instance={it} />,
  },
  {
    id: 'template',
    header: t.fields.template,
    sortingField: 'template',
    minWidth: 160,
    cell: (it) => it.template,
  },
  { id: 'type', header: t.fields.type, sortingField: 'type', cell: (it) => it.instance_type },
  {
    id: 'rate',
    header: t.fields.rate,
    sortingField: 'rate',
    cell: (it) => (
      <Sourced
        value={hourly(it.hourly_rate)}
        label={t.fields.rate}
        source={t.source.rate(it.price_source)}
      />
    ),
  },
  {
    id: 'spent',
    header: t.fields.spent,
    sortingField: 'spent',
    cell: (it) => (
      <Sourced value={money(it.current_spend)} label={t.fields.spent} source={t.source.spent} />
    ),
  },
  {
    id: 'expires',
    header: t.fields.expires,
    sortingField: 'expires',
    cell: (it) => <When at={it.expires_at} />,
  },
  {
    id: 'idle',
    header: t.fields.idle,
    cell: (it) => t.idle.verdict(it.idle.verdict, it.idle.idle_minutes),
  },
  { id: 'project', header: t.fields.project, cell: (it) => it.tags['Project'] ?? t.none },
];
