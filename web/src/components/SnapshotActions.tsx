import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useState } from 'react';

import { actions } from '../api/actions';
import type { Schemas } from '../api/client';
import { t } from '../strings';
import { ConfirmDialog } from './ConfirmDialog';
import { FormDialog } from './FormDialog';
import { useNotify } from './Notifications';

/** What can be done with a snapshot: restore it into a new volume, rehearse that, delete it. */
export function SnapshotActions({ snapshot }: { readonly snapshot: Schemas['SnapshotItem'] }) {
  const { notify, failed } = useNotify();
  const [open, setOpen] = useState<string | null>(null);
  const close = () => setOpen(null);
  const { name, state } = snapshot;
  const complete = state === 'completed';
  const asked = async (what: string, act: () => Promise<unknown>) => {
    await act();
    notify({ type: 'success', header: `${name}: ${what}` });
  };
  const verify = () => {
    asked(t.storage.verify, () => actions.verifySnapshot(name)).catch((error: unknown) =>
      failed(`${name}: ${t.storage.verify}`, error as Error),
    );
  };
  return (
    <>
      <ButtonDropdown
        variant="inline-icon"
        expandToViewport
        ariaLabel={t.storage.actionsOf(name)}
        items={[
          { id: 'restore', text: t.storage.restore, disabled: !complete },
          { id: 'verify', text: t.storage.verify, disabled: !complete },
          { id: 'delete', text: t.files.remove, disabled: state === 'deleting' },
        ]}
        onItemClick={({ detail: { id } }) => (id === 'verify' ? verify() : setOpen(id))}
      />
      {open === 'restore' && (
        <FormDialog
          title={t.storage.restoreOf(name)}
          button={t.storage.restore}
          fields={[{ id: 'volume', label: t.storage.newVolumeName, what: t.storage.nameWhat }]}
          act={({ volume = '' }) =>
            asked(t.storage.restoring(volume), () => actions.restoreSnapshot(name, volume))
          }
          close={close}
        />
      )}
      {open === 'delete' && (
        <ConfirmDialog
          title={t.storage.removeOf(name)}
          button={t.files.remove}
          word={name}
          warning={t.storage.removeSnapshot}
          act={() => asked(t.storage.removing, () => actions.removeSnapshot(name))}
          close={close}
        />
      )}
    </>
  );
}
