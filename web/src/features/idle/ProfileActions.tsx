import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

import type { Schemas } from '../../api/client';
import { upkeepActions } from '../../api/upkeepActions';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { DialogButton } from '../../ui/DialogButton';
import { useNotify } from '../../ui/Notifications';
import { texts } from './texts';

const THRESHOLDS = [
  'cpu_threshold',
  'memory_threshold',
  'network_threshold',
  'disk_threshold',
  'gpu_threshold',
] as const;
// The daemon refuses to delete these; a test compares them with its own.
const BUILT_IN: ReadonlySet<string> = new Set(['batch', 'gpu', 'standard']);

/** A button that adds an idle profile. */
export function AddProfile() {
  const { notify } = useNotify();
  return (
    <DialogButton
      text={texts.add}
      button={t.money.create}
      fields={[
        { id: 'name', label: t.fields.name },
        { id: 'description', label: texts.description, optional: true },
        { id: 'minutes', label: texts.minutes, kind: 'number', value: '30' },
        {
          id: 'action',
          label: texts.then,
          value: 'hibernate',
          options: Object.entries(texts.actions).map(([value, label]) => ({ value, label })),
        },
        ...THRESHOLDS.map((id) => ({
          id,
          label: texts.thresholds[id],
          what: texts.thresholdWhat,
          kind: 'number' as const,
          optional: true,
        })),
      ]}
      act={async (values) => {
        const { name } = await upkeepActions.addIdleProfile(profileOf(values));
        notify({ type: 'success', header: texts.added(name) });
      }}
    />
  );
}

/** What was typed, as a request; an empty threshold does not count. */
function profileOf(values: Readonly<Record<string, string>>): Schemas['NewIdleProfile'] {
  const given = THRESHOLDS.filter((id) => values[id]);
  return {
    name: values['name'] ?? '',
    description: values['description'] ?? '',
    idle_threshold_minutes: Number(values['minutes']),
    action: values['action'] === 'stop' ? 'stop' : 'hibernate',
    ...Object.fromEntries(given.map((id) => [id, Number(values[id])])),
  };
}

/** A button that deletes an idle profile, unless it is built in. */
export function RemoveProfile({ name }: { readonly name: string }) {
  const [open, setOpen] = useState(false);
  const { notify } = useNotify();
  if (BUILT_IN.has(name)) return <Box color="text-body-secondary">{texts.builtIn}</Box>;
  return (
    <>
      <Button ariaLabel={texts.removeTitle(name)} onClick={() => setOpen(true)}>
        {t.files.remove}
      </Button>
      {open && (
        <Dialog
          title={texts.removeTitle(name)}
          button={t.files.remove}
          close={() => setOpen(false)}
          act={async () => {
            await upkeepActions.removeIdleProfile(name);
            notify({ type: 'success', header: texts.removed(name) });
          }}
        >
          <Box>{texts.remove}</Box>
        </Dialog>
      )}
    </>
  );
}
