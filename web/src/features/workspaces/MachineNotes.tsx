import Alert from '@cloudscape-design/components/alert';

import type { Instance } from '../../api/client';
import { t } from '../../strings';
import { Remediation } from '../../ui/Remediation';

/** What a running workspace lacks on its computer, such as a limit of memory. */
export function MachineNotes({ instance }: { readonly instance: Instance }) {
  const notes = instance.notes ?? [];
  if (notes.length === 0) return null;
  return (
    <Alert type="warning" header={t.workspace.notes}>
      {notes.map((note) => (
        <Remediation key={note} text={note} />
      ))}
    </Alert>
  );
}
