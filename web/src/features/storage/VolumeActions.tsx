import { useQuery } from '@tanstack/react-query';

import { actions } from '../../api/actions';
import { queries } from '../../api/queries';
import type { Volume } from '../../lib/volumes';
import { t } from '../../strings';
import { StorageMenu } from './StorageMenu';

/** What can be done with a volume: attach, detach, copy, delete. */
export function VolumeActions({ volume }: { readonly volume: Volume }) {
  const { data: instances = [] } = useQuery(queries.instances);
  const { name, attached } = volume;
  const free = volume.kind === 'efs' || attached.length === 0;
  const targets = instances.filter(
    (it) => it.state !== 'terminated' && !attached.includes(it.name),
  );
  return (
    <StorageMenu
      name={name}
      actions={[
        {
          id: 'attach',
          text: t.storage.attach,
          title: t.storage.attachOf(name),
          disabled: !free || targets.length === 0,
          fields: [
            {
              id: 'instance',
              label: t.storage.workspace,
              what: t.storage.attachWhat(name),
              options: targets.map((it) => ({ value: it.name, label: it.name })),
            },
          ],
          act: ({ instance = '' }) => actions.attach(name, instance),
          done: ({ instance = '' }) => t.storage.attachTo(instance),
        },
        ...attached.map((instance) => ({
          id: `detach ${instance}`,
          text: t.storage.detach(instance),
          act: () => actions.detach(name, instance),
          done: () => t.storage.detachFrom(instance),
        })),
        {
          id: 'snapshot',
          text: t.storage.snapshot,
          title: t.storage.snapshotOf(name),
          fields: [{ id: 'copy', label: t.fields.name, what: t.storage.nameWhat }],
          act: ({ copy = '' }) => actions.createSnapshot({ name: copy, volume: name }),
          done: ({ copy = '' }) => t.storage.snapshotting(copy),
        },
        {
          id: 'delete',
          text: t.files.remove,
          title: t.storage.removeOf(name),
          disabled: attached.length > 0,
          warning: t.storage.removeVolume,
          act: () => actions.removeVolume(name),
          done: () => t.storage.removing,
        },
      ]}
    />
  );
}
