import FormField from '@cloudscape-design/components/form-field';
import Select from '@cloudscape-design/components/select';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { moment } from '../../lib/format';
import { useEach } from '../../lib/useEach';
import { t } from '../../strings';
import { ConfirmDialog } from '../../ui/ConfirmDialog';

/** Gives workspaces the files of a snapshot; it says where the files of before are. */
export default function ResetDialog({
  workspaces,
  close,
}: {
  readonly workspaces: readonly Instance[];
  readonly close: () => void;
}) {
  const each = useEach();
  const { data: snapshots = [] } = useQuery(queries.snapshots);
  const [list] = useState(workspaces); // those that it was opened for
  const [chosen, choose] = useState<string | null>(null);
  const options = snapshots
    .filter((it) => it.source_type === 'workspace' && it.state === 'completed')
    .map((it) => ({
      value: it.name,
      label: it.name,
      description: `${it.source}, ${moment(it.creation_time)}`,
    }));
  const option = options.find((it) => it.value === chosen) ?? null;
  const names = list.map((it) => it.name);
  const reset = async () => {
    if (option === null) return;
    const copies = new Map<string, string>();
    await each(list, {
      id: 'reset',
      act: async ({ workspace, name }) => {
        const { backup } = await actions.resetTo(workspace, option.value);
        copies.set(name, backup);
      },
      done: (done) =>
        t.classes.isReset(
          done,
          done.map((name) => copies.get(name) ?? ''),
        ),
      cannot: t.classes.cannotReset,
    });
  };
  return (
    <ConfirmDialog
      title={t.classes.resetTitle(names)}
      button={t.classes.resetButton}
      word={names.length === 1 ? (names[0] ?? '') : t.classes.resetWord(names.length)}
      warning={t.classes.resetWarning(names.length)}
      ready={option !== null}
      act={reset}
      close={close}
    >
      <FormField label={t.classes.snapshot} description={t.classes.snapshotWhat}>
        <Select
          selectedOption={option}
          options={options}
          placeholder={t.classes.snapshot}
          empty={t.classes.noSnapshots}
          onChange={({ detail }) => choose(detail.selectedOption.value ?? null)}
        />
      </FormField>
    </ConfirmDialog>
  );
}
