import Alert from '@cloudscape-design/components/alert';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useState } from 'react';

import { actions } from '../../api/actions';
import { type FileEntry, join } from '../../lib/files';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';

const SHOWN = 10; // names; of more it says how many

/** Asks before files are destroyed; for folders, whose content is not seen here, by a name. */
export function DeleteFilesDialog({
  workspace,
  folder,
  entries,
  close,
}: {
  readonly workspace: string;
  readonly folder: string;
  readonly entries: readonly FileEntry[];
  readonly close: () => void;
}) {
  const [typed, setTyped] = useState('');
  const deep = entries.find((it) => it.kind === 'folder');
  const ready = deep === undefined || typed === deep.name;
  const remove = async () => {
    for (const it of entries) {
      await actions.removeFile(workspace, join(folder, it.name), it.kind === 'folder');
    }
  };
  return (
    <Dialog
      title={t.files.removeTitle(entries.length)}
      button={t.files.remove}
      ready={ready}
      act={remove}
      close={close}
    >
      <Alert type="warning">{t.files.removeWarning(deep !== undefined)}</Alert>
      <ul>
        {entries.slice(0, SHOWN).map((it) => (
          <li key={it.name}>{it.name}</li>
        ))}
        {entries.length > SHOWN && <li>{t.andMore(entries.length - SHOWN)}</li>}
      </ul>
      {deep !== undefined && (
        <FormField label={t.terminate.type(deep.name)}>
          <Input
            autoFocus
            autoComplete={false}
            value={typed}
            onChange={({ detail }) => setTyped(detail.value)}
          />
        </FormField>
      )}
    </Dialog>
  );
}
