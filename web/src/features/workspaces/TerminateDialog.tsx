import Checkbox from '@cloudscape-design/components/checkbox';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Instance } from '../../api/client';
import { type Target, useEach } from '../../lib/useEach';
import { t } from '../../strings';
import { ConfirmDialog } from '../../ui/ConfirmDialog';

const SHOWN = 10; // names; of more it says how many

/** Asks for the name before data dies. */
export default function TerminateDialog({
  instances,
  close,
  done,
}: {
  readonly instances: readonly Instance[];
  readonly close: () => void;
  /** Called with those that are terminated, also after the dialog was closed. */
  readonly done: (gone: readonly Target[]) => void;
}) {
  const each = useEach();
  const [backup, setBackup] = useState(false);
  // Those that it was opened for: what was typed was typed for them.
  const [targets] = useState(instances);
  const names = targets.map((it) => it.name);
  const word = names.length === 1 ? (names[0] ?? '') : t.terminate.count(names.length);
  const terminate = async () => {
    const gone = await each(targets, {
      id: 'terminate',
      act: ({ workspace }) => actions.terminate(workspace, backup),
      done: (list) => t.started('terminate', list),
      cannot: (list) => t.cannot('terminate', list),
    });
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
          {targets.slice(0, SHOWN).map((it) => (
            <li key={it.workspace}>{it.name}</li>
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
