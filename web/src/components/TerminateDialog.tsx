import Checkbox from '@cloudscape-design/components/checkbox';
import { useState } from 'react';

import { actions } from '../api/actions';
import type { Instance } from '../api/client';
import { t } from '../strings';
import { ConfirmDialog } from './ConfirmDialog';
import { useNotify } from './Notifications';

const SHOWN = 10; // names; of more it says how many

/** Asks for the name before data dies. */
export function TerminateDialog({
  instances,
  close,
  done,
}: {
  readonly instances: readonly Instance[];
  readonly close: () => void;
  /** Called with the names of those that are terminated, also after the dialog was closed. */
  readonly done: (names: readonly string[]) => void;
}) {
  const { notify, failed } = useNotify();
  const [backup, setBackup] = useState(false);
  // Those that it was opened for: what was typed was typed for them.
  const [names] = useState(() => instances.map((it) => it.name));
  const word = names.length === 1 ? (names[0] ?? '') : t.terminate.count(names.length);
  const terminate = async () => {
    const results = await Promise.allSettled(names.map((name) => actions.terminate(name, backup)));
    const gone = names.filter((_, index) => results[index]?.status === 'fulfilled');
    results.forEach((result, index) => {
      if (result.status === 'rejected') {
        failed(t.cannot('terminate', [names[index] ?? '']), result.reason as Error);
      }
    });
    if (gone.length > 0) notify({ type: 'success', header: t.started('terminate', gone) });
    done(gone);
  };
  return (
    <ConfirmDialog
      title={t.terminate.title(names)}
      button={t.verbs.terminate}
      word={word}
      warning={t.terminate.warning}
      act={terminate}
      close={close}
    >
      {names.length > 1 && (
        <ul>
          {names.slice(0, SHOWN).map((name) => (
            <li key={name}>{name}</li>
          ))}
          {names.length > SHOWN && <li>{t.andMore(names.length - SHOWN)}</li>}
        </ul>
      )}
      <Checkbox checked={backup} onChange={({ detail }) => setBackup(detail.checked)}>
        {t.terminate.backup}
      </Checkbox>
    </ConfirmDialog>
  );
}
