import type { TableProps } from '@cloudscape-design/components/table';

import type { Instance } from '../../../api/client';
import { hourly, money } from '../../../lib/format';
import { machineType } from '../machineType';
import { t } from '../../../strings';
import { LiveCell } from '../../../ui/LiveCell';
import { PageLink } from '../../../ui/PageLink';
import { OpenInline } from '../OpenInline';
import { ValueWithSource } from '../../../ui/ValueWithSource';
import { StateIndicator } from '../StateIndicator';
import { RelativeTime } from '../../../ui/RelativeTime';
import { WrappedText } from '../../../ui/WrappedText';

type Column = TableProps.ColumnDefinition<Instance>;

const DRAWN: readonly Column[] = [
  {
    id: 'name',
    header: t.fields.name,
    width: 190,
    minWidth: 130,
    sortingField: 'name',
    isRowHeader: true,
    cell: (it) => (
      <WrappedText>
        <PageLink href={`/workspaces/${it.name}`}>{it.name}</PageLink>
      </WrappedText>
    ),
  },
  {
    id: 'state',
    header: t.fields.state,
    width: 160,
    minWidth: 150,
    sortingField: 'state',
    cell: (it) => <StateIndicator instance={it} />,
  },
  {
    id: 'owner',
    header: t.fields.owner,
    width: 180,
    minWidth: 120,
    sortingField: 'owner',
    cell: (it) => <WrappedText>{it.owner || t.none}</WrappedText>,
  },
  {
    id: 'open',
    header: t.workspace.open,
    width: 110,
    minWidth: 110,
    cell: (it) => <OpenInline instance={it} />,
  },
  {
    id: 'rate',
    header: t.fields.rate,
    width: 150,
    minWidth: 130,
    sortingField: 'rate',
    cell: (it) => (
      <ValueWithSource
        value={hourly(it.hourly_rate)}
        label={t.fields.rate}
        source={t.source.rate(it.price_source)}
      />
    ),
  },
  {
    id: 'expires',
    header: t.fields.expires,
    width: 140,
    minWidth: 100,
    sortingField: 'expires',
    cell: (it) => <RelativeTime at={it.expires_at} />,
  },
  {
    id: 'idle',
    header: t.fields.idle,
    width: 160,
    minWidth: 130,
    cell: (it) => t.idle.verdict(it.idle.verdict, it.idle.idle_minutes),
  },
  {
    id: 'spent',
    header: t.fields.spent,
    width: 150,
    minWidth: 90,
    sortingField: 'spent',
    cell: (it) => (
      <ValueWithSource
        value={money(it.current_spend)}
        label={t.fields.spent}
        source={t.source.spent}
      />
    ),
  },
  {
    id: 'template',
    header: t.fields.template,
    width: 160,
    minWidth: 120,
    sortingField: 'template',
    cell: (it) => <WrappedText>{it.template}</WrappedText>,
  },
  {
    id: 'type',
    header: t.fields.type,
    width: 110,
    minWidth: 90,
    sortingField: 'type',
    cell: machineType,
  },
  {
    id: 'project',
    header: t.fields.project,
    width: 140,
    minWidth: 110,
    cell: (it) => <WrappedText>{it.tags['Project'] ?? t.none}</WrappedText>,
  },
];

/** The columns of the list of workspaces; `sortingField` is a word of the address. */
export const COLUMNS: readonly Column[] = DRAWN.map((it) => ({
  ...it,
  cell: (instance) => <LiveCell instance={instance} draw={(now) => it.cell(now)} />,
}));
