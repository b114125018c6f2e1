import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import { queries } from '../../api/queries';
import { money } from '../../lib/format';
import { type Volume } from '../../lib/volumes';
import { t } from '../../strings';
import { DialogButton } from '../../ui/DialogButton';
import { ListTable, nameColumn } from '../../ui/ListTable';
import { StorageState } from './StorageState';
import { VolumeActions } from './VolumeActions';

const KINDS = ['ebs', 'efs'] as const;

/** The volumes, and what can be done with them. */
export function VolumeTable({ volumes }: { readonly volumes: readonly Volume[] }) {
  const { data: projects = [] } = useQuery(queries.projects);
  const create = (
    <DialogButton
      text={t.storage.newVolume}
      button={t.money.create}
      fields={[
        { id: 'name', label: t.fields.name, what: t.storage.nameWhat },
        {
          id: 'type',
          label: t.fields.type,
          value: 'ebs',
          options: KINDS.map((value) => ({ value, label: t.storage.kinds[value] })),
        },
        {
          id: 'size',
          label: t.storage.sizeGb,
          what: t.storage.sizeWhat,
          kind: 'number',
          value: '20',
          optional: true,
        },
        {
          id: 'project',
          label: t.fields.project,
          what: t.launch.projectWhat,
          optional: true,
          options: [
            { value: '', label: t.launch.noProject },
            ...projects.map((it) => ({ value: it.name, label: it.name })),
          ],
        },
      ]}
      act={({ name = '', type, size = '', project = '' }) =>
        actions.createVolume({
          name,
          type: type === 'efs' ? 'efs' : 'ebs',
          ...(type === 'efs' || size === '' ? {} : { size_gb: Number(size) }),
          ...(project === '' ? {} : { project }),
        })
      }
    />
  );
  return (
    <ListTable<Volume>
      title={t.storage.volumes}
      items={volumes}
      by="name"
      empty={t.storage.noVolumes}
      actions={create}
      columns={[
        nameColumn(),
        {
          id: 'kind',
          header: t.fields.type,
          minWidth: 140,
          cell: (it) => t.storage.kinds[it.kind],
        },
        {
          id: 'state',
          header: t.fields.state,
          minWidth: 150,
          cell: (it) => (
            <StorageState state={it.state} problem={it.problem} unreachable={it.unreachable} />
          ),
        },
        { id: 'size', header: t.storage.size, minWidth: 90, cell: (it) => t.storage.gb(it.size) },
        { id: 'used', header: t.storage.used, minWidth: 90, cell: (it) => t.storage.gb(it.used) },
        {
          id: 'at',
          header: t.storage.attached,
          minWidth: 130,
          cell: (it) => it.attached.join(', ') || t.none,
        },
        { id: 'cost', header: t.storage.monthly, minWidth: 100, cell: (it) => money(it.monthly) },
        {
          id: 'actions',
          header: t.workspaces.actions,
          cell: (it) => <VolumeActions volume={it} />,
        },
      ]}
    />
  );
}
