import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { money } from '../../lib/format';
import { isLocal } from '../../lib/providers';
import { hindranceOf } from '../../lib/volumes';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { RelativeTime } from '../../ui/RelativeTime';
import { SnapshotActions } from './SnapshotActions';
import { StorageState } from './StorageState';

/** The snapshots, and what can be done with them. */
export function SnapshotTable({
  snapshots,
}: {
  readonly snapshots: readonly Schemas['SnapshotItem'][];
}) {
  const { data: instances = [] } = useQuery(queries.instances);
  const living = instances.filter((it) => it.state !== 'terminated');
  // On AWS there is no rollback.
  const local = new Set(living.filter(isLocal).map((it) => it.name));
  const own = (it: Schemas['SnapshotItem']) =>
    it.source_type === 'workspace' && local.has(it.source) ? it.source : null;
  const create = (
    <DialogButton
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
    <ListTable<Schemas['SnapshotItem']>
      title={t.storage.snapshots}
      items={snapshots}
      by="name"
      empty={t.storage.noSnapshots}
      actions={create}
      columns={[
        nameColumn(),
        { id: 'of', header: t.storage.source, minWidth: 150, cell: (it) => it.source },
        {
          id: 'state',
          header: t.fields.state,
          minWidth: 150,
          cell: (it) => (
            <StorageState
              state={it.state}
              problem={hindranceOf(it)}
              unreachable={it.unreachable != null}
            />
          ),
        },
        {
          id: 'verified',
          header: t.storage.verified,
          minWidth: 110,
          cell: (it) => t.storage.verification(it.verification ?? null),
        },
        {
          id: 'size',
          header: t.storage.size,
          minWidth: 90,
          cell: (it) => t.storage.gb(it.size_gb),
        },
        {
          id: 'made',
          header: t.storage.made,
          minWidth: 100,
          cell: (it) => <RelativeTime at={it.creation_time} />,
        },
        {
          id: 'cost',
          header: t.storage.monthly,
          minWidth: 100,
          cell: (it) => money(it.monthly_cost),
        },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => <SnapshotActions snapshot={it} workspace={own(it)} />,
        },
      ]}
    />
  );
}
