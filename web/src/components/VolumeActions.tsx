import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../api/actions';
import { queries } from '../api/queries';
import type { Volume } from '../lib/volumes';
import { t } from '../strings';
import { ConfirmDialog } from './ConfirmDialog';
import { FormDialog } from './FormDialog';
import { useNotify } from './Notifications';

const DETACH = 'detach ';

/** What can be done with a volume: attach, detach, copy, delete. */
export function VolumeActions({ volume }: { readonly volume: Volume }) {
  const { data: instances = [] } = useQuery(queries.instances);
  const { notify, failed } = useNotify();
  const [open, setOpen] = useState<string | null>(null);
  const close = () => setOpen(null);
  const { name, attached } = volume;
  const free = volume.kind === 'efs' || attached.length === 0;
  const targets = instances.filter(
    (it) => it.state !== 'terminated' && !attached.includes(it.name),
  );
  const asked = async (what: string, act: () => Promise<unknown>) => {
    await act();
    notify({ type: 'success', header: `${name}: ${what}` });
  };
  const detach = (instance: string) => {
    const what = t.storage.detach(instance);
    asked(what, () => actions.detach(name, instance)).catch((error: unknown) =>
      failed(`${name}: ${what}`, error as Error),
    );
  };
  return (
    <>
      <ButtonDropdown
        variant="inline-icon"
        expandToViewport
        ariaLabel={t.storage.actionsOf(name)}
        items={[
          { id: 'attach', text: t.storage.attach, disabled: !free || targets.length === 0 },
          ...attached.map((it) => ({ id: `${DETACH}${it}`, text: t.storage.detach(it) })),
          { id: 'snapshot', text: t.storage.snapshot },
          { id: 'delete', text: t.files.remove, disabled: attached.length > 0 },
        ]}
        onItemClick={({ detail: { id } }) =>
          id.startsWith(DETACH) ? detach(id.slice(DETACH.length)) : setOpen(id)
        }
      />
      {open === 'attach' && (
        <FormDialog
          title={t.storage.attachOf(name)}
          button={t.storage.attach}
          fields={[
            {
              id: 'instance',
              label: t.storage.workspace,
              what: t.storage.attachWhat(name),
              options: targets.map((it) => ({ value: it.name, label: it.name })),
            },
          ]}
          act={({ instance = '' }) =>
            asked(t.storage.attachTo(instance), () => actions.attach(name, instance))
          }
          close={close}
        />
      )}
      {open === 'snapshot' && (
        <FormDialog
          title={t.storage.snapshotOf(name)}
          button={t.storage.snapshot}
          fields={[{ id: 'copy', label: t.fields.name, what: t.storage.nameWhat }]}
          act={({ copy = '' }) =>
            asked(t.storage.snapshot, () => actions.createSnapshot({ name: copy, volume: name }))
          }
          close={close}
        />
      )}
      {open === 'delete' && (
        <ConfirmDialog
          title={t.storage.removeOf(name)}
          button={t.files.remove}
          word={name}
          warning={t.storage.removeVolume}
          act={() => asked(t.storage.removing, () => actions.removeVolume(name))}
          close={close}
        />
      )}
    </>
  );
}
