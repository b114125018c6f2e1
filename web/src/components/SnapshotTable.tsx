import Box from '@cloudscape-design/components/box';
import Header from '@cloudscape-design/components/header';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { queries } from '../api/queries';
import { money } from '../lib/format';
import { lookOf } from '../lib/volumes';
import { t } from '../strings';
import { Ask } from './Ask';
import { SnapshotActions } from './SnapshotActions';
import { When } from './When';

/** The snapshots, and what can be done with them. */
export function SnapshotTable({
  snapshots,
}: {
  readonly snapshots: readonly Schemas['SnapshotItem'][];
}) {
  const { data: instances = [] } = useQuery(queries.instances);
  const living = instances.filter((it) => it.state !== 'terminated');
  const create = (
    <Ask
      text={t.storage.ofWorkspace}
      button={t.storage.snapshot}
      disabled={living.length === 0}
      fields={[
        { id: 'name', label: t.fields.name, what: t.storage.nameWhat },
        {
          id: 'instance',
          label: t.storage.workspace,
          what: t.storage.diskWhat,
          options: living.map((it) => ({ value: it.name, label: it.name })),
        },
      ]}
      act={({ name = '', instance = '' }) => actions.createSnapshot({ name, instance })}
    />
  );
  return (
    <Table<Schemas['SnapshotItem']>
      header={
        <Header variant="h2" counter={`(${snapshots.length})`} actions={create}>
          {t.storage.snapshots}
        </Header>
      }
      items={snapshots}
      trackBy="name"
      wrapLines
      ariaLabels={{ tableLabel: t.storage.snapshots }}
      empty={<Box color="text-body-secondary">{t.storage.noSnapshots}</Box>}
      columnDefinitions={[
        {
          id: 'name',
          header: t.fields.name,
          minWidth: 160,
          isRowHeader: true,
          cell: (it) => it.name,
        },
        { id: 'of', header: t.storage.source, cell: (it) => it.source },
        {
          id: 'state',
          header: t.fields.state,
          cell: (it) => (
            <StatusIndicator type={lookOf(it.state)}>
              {t.storage.stateOf(it.state, it.failure?.message ?? null)}
            </StatusIndicator>
          ),
        },
        {
          id: 'verified',
          header: t.storage.verified,
          cell: (it) => t.storage.verification(it.verification ?? null),
        },
        { id: 'size', header: t.storage.size, cell: (it) => t.storage.gb(it.size_gb) },
        { id: 'made', header: t.storage.made, cell: (it) => <When at={it.creation_time} /> },
        { id: 'cost', header: t.storage.monthly, cell: (it) => money(it.monthly_cost) },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => <SnapshotActions snapshot={it} />,
        },
      ]}
    />
  );
}
